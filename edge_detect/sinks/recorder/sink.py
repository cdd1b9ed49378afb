"""Recordings that are cut into pieces, kept within bounds, and play whatever happens."""

import logging
from dataclasses import dataclass
from pathlib import Path

import av.error

from edge_detect.core import (
    NS_PER_S,
    ConfigError,
    Detection,
    Picture,
    Result,
    SinkError,
)
from edge_detect.core.clock import Clock
from edge_detect.core.url import Url
from edge_detect.sinks.access_units import AccessUnit, UnitQueue, UnitSession, UnitThread
from edge_detect.sinks.encoder import (
    ENCODER_OPTIONS,
    EncoderSettings,
    encoder_settings,
)
from edge_detect.sinks.recorder.events import EventRules, Sighting
from edge_detect.sinks.recorder.store import Keep, Store, cannot_record
from edge_detect.sinks.recorder.takes import ContinuousTake, EventTake, Take
from edge_detect.sinks.sink import Sink, StreamInfo

__all__ = ["RecorderSink", "RecorderWaits", "open_recorder_sink"]

_LOG = logging.getLogger(__name__)
_OPTIONS = ("segment", "keep", "reserve", "events", "pre", "post", *ENCODER_OPTIONS)
_QUEUE_BYTES = 32_000_000
# Thumbnails are made where they hold nobody up, of pictures that wait in the queue.
_MOST_WAITING_PICTURES = 4
_LOOK_S = 0.5
_DEFAULT_RESERVE_BYTES = 500_000_000
_SHORTEST_SEGMENT_S = 1.0
_LONGEST_PRE_S = 300.0


@dataclass(slots=True, frozen=True)
class RecorderWaits:
    """How long a recorder waits for pictures and for the disk, in seconds.

    Attributes:
        queue_s: Most that waits for the disk. One that hangs for longer than half of this
            loses pictures; cards hang for seconds when they tidy up.
        patience_s: With half of that waiting, a picture is held up for so long: the pipeline
            leaves some out before they are encoded, or reads a file more slowly. It must be
            able to stop in between.
        idle_s: Without pictures for so long, what is open is finished.
        close_s: `close` waits for the disk for so long.
    """

    queue_s: float = 20.0
    patience_s: float = 1.0
    idle_s: float = 10.0
    close_s: float = 0.9


class RecorderSink(Sink):
    """Records annotated pictures as MP4 files in a directory per day.

    The pictures come from the encoder that other sinks may share; a thread of its own writes
    them, so that a slow disk holds up nobody.

    Args:
        root: The directory.
        settings: Of the encoder.
        segment_s: Length of the files.
        keep: What stays.
        rules: Makes it record events only; None records all the time.
        waits: How long it waits.
        clock: The computer's.
    """

    takes_pictures = True

    def __init__(
        self,
        root: Path,
        settings: EncoderSettings,
        segment_s: float,
        keep: Keep,
        rules: EventRules | None,
        waits: RecorderWaits | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.name = f"mp4://{root}"
        self._root = root
        self._settings = settings
        self._segment_ns = round(segment_s * NS_PER_S)
        self._keep = keep
        self._watch = None if rules is None else _Watch(rules)
        self._session: UnitSession | None = None
        self._waits = waits or RecorderWaits()
        self._clock = clock or Clock()
        self._worked = False
        self._told_foreign = 0
        self._told_unlocked = False

    @property
    def wants_picture(self) -> bool:
        """Always while it is open: nobody knows what happens next."""
        return self._session is not None

    @property
    def dropped(self) -> int:
        """Encoded pictures left out since `open`, up to the next key frame each time."""
        session = self._session
        return 0 if session is None else session.dropped

    def open(self, stream: StreamInfo) -> None:
        """Create the directory, make room in it, and begin to record.

        Raises:
            SinkError: The directory cannot be written, or the disk is full.
        """
        encoder = stream.encoders.get(self._settings)
        store = Store(self._root, self._keep, self._clock)
        try:
            store.open()
        except SinkError as error:
            # A disk that was there before may come back.
            error.transient = error.transient or self._worked
            raise
        self._worked = True
        self._tell_foreign(store.foreign)
        self._tell_unlocked(store.unlocked)
        most_bytes = self._keep.total_bytes
        if self._watch is None:
            take: Take = ContinuousTake(store, self._segment_ns, most_bytes, encoder.request_key)
        else:
            take = EventTake(
                self._watch.rules, store, self._segment_ns, most_bytes, encoder.request_key
            )
        writer = _Writer(store, take, self._waits)
        thread = UnitThread("edge-recorder", writer.queue, writer.run)
        self._session = UnitSession(encoder, thread, stream)

    def write_picture(self, picture: Picture) -> None:
        """Have a picture recorded.

        Raises:
            SinkError: The last ones could not be, or the encoder failed; or the model does
                not know the class of an event.
        """
        session = self._session
        if session is None:
            raise ValueError("write_picture needs open before it")
        session.write(picture)
        queue = session.thread.queue
        queue.wait_for_room(self._waits.patience_s)
        sighting = None if self._watch is None else self._watch.look(picture)
        if sighting is not None:
            queue.put_note(sighting)

    def close(self) -> None:
        """Finish the running recording.

        Raises:
            SinkError: It could not be written, or the disk does not answer.
        """
        session, self._session = self._session, None
        if session is None:
            return
        done = session.close(self._waits.close_s)
        session.thread.check()
        if not done:
            raise SinkError(
                f"the disk of {self._root} does not answer",
                "what is written plays; see whether the disk still works",
                transient=True,
            )

    def _tell_foreign(self, foreign: int) -> None:
        """Log, once, that there are files that nothing but a person will delete."""
        if self._keep.limited and foreign > self._told_foreign:
            self._told_foreign = foreign
            _LOG.warning(
                "%s: recordings that are not in the ledger of this recorder: %d. Another program "
                "or an earlier version made them; keep= neither counts nor deletes them, so "
                "delete them by hand",
                self._root,
                foreign,
            )

    def _tell_unlocked(self, reason: str) -> None:
        """Log, once, that the file system keeps other recorders away from nothing."""
        if reason and not self._told_unlocked:
            self._told_unlocked = True
            text = "%s cannot be locked: %s; see that no other recorder writes there"
            _LOG.warning(text, self._root, reason)


class _Writer:
    """What the recorder's thread does.

    Args:
        store: Where recordings go; closed at the end.
        take: Makes them.
        waits: How long to wait for pictures.
    """

    def __init__(self, store: Store, take: Take, waits: RecorderWaits) -> None:
        self.queue = UnitQueue(waits.queue_s, _QUEUE_BYTES, newest=False)
        self._root = store.root
        self._clock = store.clock
        self._store = store
        self._take = take
        self._idle_ns = round(waits.idle_s * NS_PER_S)
        self._dropped = 0

    def run(self) -> None:
        """Write until the queue is closed and empty.

        Raises:
            SinkError: Nothing more can be written.
        """
        try:
            try:
                self._write_all()
                self._take.close()
            except SinkError:
                # The disk is nearly full, but what is open can still be finished.
                self._take.close()
                raise
            finally:
                self._take.abandon()
        except (OSError, av.error.FFmpegError) as error:
            raise cannot_record(self._root, error) from error
        finally:
            self._store.close()

    def _write_all(self) -> None:
        last_ns = tended_ns = self._clock.monotonic_ns()
        interval_ns, paused = 0, True
        while True:
            item = self.queue.get(_LOOK_S)
            now_ns = self._clock.monotonic_ns()
            if item is not None:
                self._take.take(item)
                if isinstance(item, AccessUnit):
                    interval_ns, last_ns, paused = now_ns - last_ns, now_ns, False
            elif self.queue.closed:
                return
            elif not paused and now_ns - last_ns > max(self._idle_ns, 4 * interval_ns):
                self._take.pause()
                paused = True
            if now_ns - tended_ns > NS_PER_S:
                tended_ns = now_ns
                self._take.tend()
                self._report_drops()

    def _report_drops(self) -> None:
        dropped = self.queue.dropped
        if dropped > self._dropped:
            _LOG.warning(
                "%s: the disk is too slow, %d pictures were not recorded",
                self._root,
                dropped - self._dropped,
            )
            self._dropped = dropped


class _Watch:
    """Finds events in the results that are drawn; each result counts once.

    Args:
        rules: What an event is.
    """

    def __init__(self, rules: EventRules) -> None:
        self.rules = rules
        self._last: tuple[int, int] | None = None
        self._checked: tuple[str, ...] | None = None
        self._waiting: list[Sighting] = []

    def look(self, picture: Picture) -> Sighting | None:
        """What makes an event in the result of a picture; None if nothing does.

        Args:
            picture: The next one.

        Raises:
            SinkError: The model does not know one of the classes.
        """
        result = picture.result
        if result is None:
            return None
        number = (result.frame.sequence, result.frame.captured_ns)
        if number == self._last:
            return None
        self._last = number
        self._check(result)
        found = tuple(each for each in result.detections if self._matters(each))
        if not found:
            return None
        age_ns = picture.frame.media_ns - result.frame.media_ns
        sighting = Sighting(found, result.frame.captured_ns, age_ns, picture)
        self._hold(sighting)
        return sighting

    def _hold(self, sighting: Sighting) -> None:
        """Let only the best of the waiting sightings keep their pictures."""
        self._waiting = [each for each in self._waiting if each.picture is not None]
        self._waiting.append(sighting)
        if len(self._waiting) > _MOST_WAITING_PICTURES:
            min(reversed(self._waiting), key=lambda each: each.score).picture = None

    def _matters(self, detection: Detection) -> bool:
        return not self.rules.labels or detection.label in self.rules.labels

    def _check(self, result: Result) -> None:
        labels = result.detections.labels
        if labels == self._checked or not labels:
            return
        unknown = [label for label in self.rules.labels if label not in labels]
        if unknown:
            raise SinkError(
                f"events of the class {unknown[0]!r} never happen: the model does not know it",
                f"it knows {', '.join(labels[:12])}{' …' if len(labels) > 12 else ''}",
            )
        self._checked = labels


def open_recorder_sink(
    url: Url, waits: RecorderWaits | None = None, clock: Clock | None = None
) -> RecorderSink:
    """Open `mp4:///var/lib/recordings?segment=60s&keep=10GB&reserve=500MB`.

    With `events=person,car&pre=5s&post=10s` events alone are recorded, `events=*` takes any
    class. `keep` is an amount (10GB), an age (7d) or both (10GB,7d); without it nothing is
    ever deleted. The encoder's options are understood too.

    Args:
        url: Of the sink.
        waits: How long it waits for pictures and for the disk.
        clock: The computer's.

    Raises:
        SinkError: The URL names no directory.
        ConfigError: An option is misspelt or has an impossible value.
    """
    url.check_options(*_OPTIONS)
    if not url.location:
        raise SinkError(f"{url.name!r} names no directory", "use mp4:///path/to/recordings")
    segment_s = url.duration_s("segment", 60.0)
    if segment_s < _SHORTEST_SEGMENT_S:
        raise ConfigError(f"{url.name!r}: option 'segment' must be at least 1s")
    return RecorderSink(
        Path(url.location),
        encoder_settings(url),
        segment_s,
        _read_keep(url),
        _read_rules(url),
        waits,
        clock,
    )


def _read_keep(url: Url) -> Keep:
    total_bytes: int | None = None
    age_s: float | None = None
    for part in url.options.get("keep", "").split(","):
        single = Url(url.scheme, url.location, {"keep": part}, url.text)
        if part.lower().endswith("b"):
            total_bytes = single.byte_size("keep", 0)
        elif part or "keep" in url.options:
            age_s = single.duration_s("keep", 0.0)
    if total_bytes == 0 or age_s == 0:
        raise ConfigError(
            f"{url.name!r}: option 'keep' would keep nothing", "leave it out to keep everything"
        )
    return Keep(total_bytes, age_s, url.byte_size("reserve", _DEFAULT_RESERVE_BYTES))


def _read_rules(url: Url) -> EventRules | None:
    if "events" not in url.options:
        lost = [key for key in ("pre", "post") if key in url.options]
        if lost:
            raise ConfigError(
                f"{url.name!r}: option {lost[0]!r} means nothing without 'events'",
                "add events=person, or events=* for all classes",
            )
        return None
    labels = tuple(label.strip() for label in url.options["events"].split(","))
    if not all(labels):
        raise ConfigError(
            f"{url.name!r}: option 'events' must name classes",
            "use events=person,car, or events=* for all classes",
        )
    pre_s = url.duration_s("pre", 5.0)
    if pre_s > _LONGEST_PRE_S:
        raise ConfigError(f"{url.name!r}: option 'pre' must be at most {_LONGEST_PRE_S:.0f}s")
    post_ns = round(url.duration_s("post", 10.0) * NS_PER_S)
    return EventRules(() if "*" in labels else labels, round(pre_s * NS_PER_S), post_ns)
