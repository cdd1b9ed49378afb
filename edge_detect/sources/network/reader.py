"""The thread that receives a network stream, and the one picture that it keeps."""

from contextlib import closing
from threading import Condition, Lock, Thread
from typing import ClassVar

import av
import av.container
import av.error
import av.logging

from edge_detect.core import NS_PER_S, SourceError, monotonic_ns
from edge_detect.sources.network.address import StreamAddress
from edge_detect.sources.network.decoder import ReceivedPicture, StreamDecoder
from edge_detect.sources.network.errors import explain, no_answer, not_ending
from edge_detect.sources.pacing import Pacer

__all__ = ["StreamReader"]

# Beyond FFmpeg's own timeouts, for what they do not cover: looking a name up, above all.
_GRACE_S = 0.5
_NEVER_NS = 1 << 63
# A camera that was given up may keep its connection open, by sending a byte now and then.
_MOST_OVERDUE = 8


class StreamReader:
    """Connects, decodes every packet at once, and keeps the newest picture only.

    FFmpeg's calls cannot be ended from outside before their timeouts. So they are made in a
    thread that nobody waits for: after `stop` it ends by itself, at the next packet or by the
    timeouts, and closes the connection.

    Args:
        address: Where to.

    Raises:
        SourceError: Too many connections to the same address were given up and have not ended
            within the timeouts.
    """

    _lock = Lock()
    _living: ClassVar[set["StreamReader"]] = set()

    def __init__(self, address: StreamAddress) -> None:
        self._address = address
        self._changed = Condition()
        self._newest: ReceivedPicture | None = None
        self._error: Exception | None = None
        self._ended = False
        self._connected = False
        self._pacer = Pacer(active=True)
        self._give_up_ns = 0
        self._due_ns = _NEVER_NS
        self._expect_within(address.open_s)
        with self._lock:
            overdue = sum(reader.is_overdue(address.name) for reader in self._living)
            if overdue >= _MOST_OVERDUE:
                raise not_ending(address, overdue)
        # A daemon: the end of the program must not wait for a camera that does not answer.
        Thread(target=self._run, name="edge-stream", daemon=True).start()

    def take(self) -> ReceivedPicture | None:
        """Wait for a picture that was not taken yet; older ones are gone.

        Returns:
            The newest one; None after `stop`, and at the end of a recording.

        Raises:
            SourceError: The stream cannot be had, ended, or fell silent.
        """
        with self._changed:
            while self._newest is None and not self._ended:
                left_ns = self._give_up_ns - monotonic_ns()
                if left_ns <= 0:
                    self._end(no_answer(self._address, connected=self._connected))
                    break
                self._changed.wait(min(left_ns, NS_PER_S) / NS_PER_S)
            newest, self._newest = self._newest, None
            if newest is None and self._error is not None:
                raise self._error
            return newest

    def stop(self) -> None:
        """End the stream; returns at once, and so does a waiting `take`."""
        with self._changed:
            self._newest, self._error = None, None
            self._end(None)

    def is_overdue(self, name: str) -> bool:
        """Whether it is a connection to an address that should have ended long ago."""
        return self._address.name == name and monotonic_ns() > self._due_ns

    def _run(self) -> None:
        with self._lock:
            self._living.add(self)
        try:
            self._read_until_stopped()
        finally:
            with self._lock:
                self._living.discard(self)

    def _read_until_stopped(self) -> None:
        error: Exception | None = None
        give_up_ns = monotonic_ns() + round(self._address.open_s * NS_PER_S)
        try:
            with closing(_connect(self._address)) as container:
                self._receive(container)
        except SourceError as failure:
            error = failure
        except (av.error.FFmpegError, OSError) as failure:
            timed_out = not self._connected and monotonic_ns() >= give_up_ns
            error = explain(failure, self._address, connected=self._connected, timed_out=timed_out)
        except Exception as failure:  # noqa: BLE001 - nothing is lost: `take` raises it
            error = failure
        with self._changed:
            self._end(error)

    def _receive(self, container: av.container.InputContainer) -> None:
        decoder = StreamDecoder(container, self._address)
        self._connected = True
        while not self._pacer.closed:
            self._expect_within(self._address.read_s)
            received = decoder.receive()
            if received is None:
                return
            for picture in received:
                self._put(self._pace(picture) if decoder.recording else picture)

    def _pace(self, picture: ReceivedPicture) -> ReceivedPicture:
        """Hold a picture of a recording back until its time has come."""
        self._give_up_ns = _NEVER_NS
        self._pacer.wait(picture.position_ns)
        return picture._replace(captured_ns=monotonic_ns())

    def _put(self, picture: ReceivedPicture) -> None:
        with self._changed:
            if not self._ended:
                self._newest = picture
                self._changed.notify_all()

    def _end(self, error: Exception | None) -> None:
        """Come to an end, once; to be called with the lock held."""
        if not self._ended:
            self._ended, self._error = True, error
            longest_s = self._address.open_s + self._address.read_s
            self._due_ns = monotonic_ns() + round(longest_s * NS_PER_S)
        self._pacer.close()
        self._changed.notify_all()

    def _expect_within(self, seconds: float) -> None:
        self._give_up_ns = monotonic_ns() + round((seconds + _GRACE_S) * NS_PER_S)


def _connect(address: StreamAddress) -> av.container.InputContainer:
    # What FFmpeg would print is in our errors, or holds passwords.
    av.logging.set_level(av.logging.PANIC)
    # With PyAV's own timeouts FFmpeg asks Python for the time in the middle of its work, and the
    # program crashes if it ends just then: each fiftieth one that ended beside a camera that did
    # not answer. FFmpeg's timeouts are the same, but for each answer by itself.
    return av.open(address.url, options=dict(address.options))
