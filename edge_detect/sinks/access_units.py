"""Encoded pictures on their way from the encoder's thread to one that may have to wait."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from threading import Condition, Thread
from typing import Any

import av
import av.container

from edge_detect.core import NS_PER_S, Picture, Size, monotonic_ns
from edge_detect.sinks.encoder import EncodedPicture, Encoder
from edge_detect.sinks.sink import StreamInfo

__all__ = [
    "AccessUnit",
    "UnitQueue",
    "UnitSession",
    "UnitThread",
    "access_unit",
    "add_video_stream",
]

# Notes are small; this many are minutes of them.
_MOST_NOTES = 2000


@dataclass(slots=True, frozen=True)
class AccessUnit:
    """One encoded picture, without the picture.

    Attributes:
        data: H.264 in Annex B form; key frames begin with their parameter sets.
        key: Whether decoding can begin here.
        size: Of the video.
        captured_ns: CLOCK_MONOTONIC time of the exposure.
        media_ns: Position on the source's own time line.
        source: Name of the source, without credentials.
    """

    data: bytes
    key: bool
    size: Size
    captured_ns: int
    media_ns: int
    source: str


def access_unit(encoded: EncodedPicture) -> AccessUnit:
    """What of an encoded picture may be kept."""
    frame = encoded.picture.frame
    return AccessUnit(
        encoded.data, encoded.key, encoded.size, frame.captured_ns, frame.media_ns, frame.source
    )


def add_video_stream(container: av.container.OutputContainer, key: AccessUnit) -> Any:
    """Add a stream for access units to a container, described by their parameter sets.

    Args:
        container: Whose header has not been written.
        key: The first of them, a key frame.

    Returns:
        The `av.VideoStream`; its codec context is not open, packets go past it.

    Raises:
        OSError: FFmpeg finds no parameter sets in it.
    """
    with av.open(BytesIO(key.data), format="h264") as parsed:
        return container.add_stream_from_template(parsed.streams.video[0])


class UnitQueue:
    """Access units and whatever else goes with them, from many threads to one.

    `put` never waits. When more is waiting than allowed, whole groups of pictures are left
    out and counted, so that what comes out can always be decoded.

    Args:
        limit_s: Most time from the first waiting unit to the last.
        limit_bytes: Most data waiting.
        newest: Whether a full queue is emptied, which keeps the delay small; otherwise what
            waits is kept, and new units are left out until there is room again.
    """

    def __init__(self, limit_s: float, limit_bytes: int, *, newest: bool) -> None:
        self._limit_ns = round(limit_s * NS_PER_S)
        self._limit_bytes = limit_bytes
        self._newest = newest
        self._changed = Condition()
        self._items: deque[object] = deque()
        self._units: deque[AccessUnit] = deque()
        self._bytes = 0
        # Decoding can begin at a key frame only; what comes before the first is no loss.
        self._skipping = True
        self._begun = False
        self._closed = False
        self.dropped = 0

    @property
    def closed(self) -> bool:
        """Whether nothing more will come in."""
        return self._closed

    def put(self, unit: AccessUnit) -> None:
        """Add a unit, unless there is no room for it or for what it refers to."""
        with self._changed:
            if self._closed:
                return
            if not self._has_room(unit, 1.0):
                self._skipping = True
                if self._newest:
                    self._discard()
            if self._skipping and not (unit.key and self._has_room(unit, 0.75)):
                self.dropped += self._begun
                return
            self._skipping, self._begun = False, True
            self._items.append(unit)
            self._units.append(unit)
            self._bytes += len(unit.data)
            self._changed.notify_all()

    def put_note(self, note: object) -> None:
        """Add something else in its place among the units; there is a limit of 2000."""
        with self._changed:
            if not self._closed and len(self._items) - len(self._units) < _MOST_NOTES:
                self._items.append(note)
                self._changed.notify_all()

    def get(self, timeout_s: float) -> object | None:
        """The next unit or note; None if none came in time, or none will come any more."""
        with self._changed:
            if not self._items and not self._closed:
                self._changed.wait(timeout_s)
            if not self._items:
                return None
            item = self._items.popleft()
            if isinstance(item, AccessUnit):
                self._units.popleft()
                self._bytes -= len(item.data)
                self._changed.notify_all()
            return item

    def wait_for_room(self, timeout_s: float) -> bool:
        """Wait until less than half of what is allowed is waiting.

        Returns:
            Whether it is so; False at the latest after `timeout_s`.
        """
        deadline_ns = monotonic_ns() + round(timeout_s * NS_PER_S)
        with self._changed:
            while not self._closed and self._units and not self._has_room(self._units[-1], 0.5):
                remaining_s = (deadline_ns - monotonic_ns()) / NS_PER_S
                if remaining_s <= 0:
                    return False
                self._changed.wait(remaining_s)
            return True

    def close(self) -> None:
        """Take nothing more; what is waiting can still be had."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _has_room(self, unit: AccessUnit, share: float) -> bool:
        """Whether a unit fits into a share of the limits; one alone always does."""
        if not self._units:
            return True
        waited_ns = unit.captured_ns - self._units[0].captured_ns
        return (
            waited_ns <= share * self._limit_ns
            and self._bytes + len(unit.data) <= share * self._limit_bytes
        )

    def _discard(self) -> None:
        self.dropped += len(self._units)
        self._items.clear()
        self._units.clear()
        self._bytes = 0


class UnitThread:
    """A thread that empties a queue, and whose failure is not lost.

    Args:
        name: Of the thread.
        queue: What it takes from; it ends when that is closed and empty.
        work: What it does.
    """

    def __init__(self, name: str, queue: UnitQueue, work: Callable[[], None]) -> None:
        self.queue = queue
        self._work = work
        self._error: BaseException | None = None
        self._thread = Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Raise what ended the thread, the first time that it is asked for after that."""
        error, self._error = self._error, None
        if error is not None:
            raise error

    def close(self, timeout_s: float) -> bool:
        """Have the rest of the queue worked off.

        Returns:
            Whether that is done; False at the latest after `timeout_s`.
        """
        self.queue.close()
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            self._work()
        except BaseException as error:  # noqa: BLE001 - kept, and raised in the pipeline's thread
            self._error = error
        finally:
            self.queue.close()


class UnitSession:
    """What carries pictures from a shared encoder to a sink's own thread while it is open.

    Args:
        encoder: Has one more subscriber from now on.
        thread: What works the units off.
        stream: Is told of each picture that left the encoder.
    """

    def __init__(self, encoder: Encoder, thread: UnitThread, stream: StreamInfo) -> None:
        self.thread = thread
        self._encoder = encoder
        self._encoded = stream.encoded
        encoder.subscribe(self._receive)

    @property
    def dropped(self) -> int:
        """Encoded pictures that were left out, up to the next key frame each time."""
        return self.thread.queue.dropped

    def write(self, picture: Picture) -> None:
        """Have a picture encoded, and what ended the thread raised.

        Raises:
            SinkError: The thread failed, or the encoder did.
        """
        self.thread.check()
        self._encoder.write(picture)

    def close(self, timeout_s: float) -> bool:
        """Take no more, and have the rest worked off.

        Returns:
            Whether that is done; False at the latest after `timeout_s`.
        """
        self._encoder.unsubscribe(self._receive)
        return self.thread.close(timeout_s)

    def _receive(self, encoded: EncodedPicture) -> None:
        self.thread.queue.put(access_unit(encoded))
        self._encoded(encoded.picture.frame.captured_ns)
