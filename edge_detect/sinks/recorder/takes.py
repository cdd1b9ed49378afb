"""When recordings begin and end: all the time, or around events."""

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from edge_detect.core import NS_PER_MS, NS_PER_S
from edge_detect.sinks.access_units import AccessUnit
from edge_detect.sinks.recorder.disk import FULL
from edge_detect.sinks.recorder.events import EventRules, EventStory, Sighting
from edge_detect.sinks.recorder.file import SegmentFile
from edge_detect.sinks.recorder.store import Store

__all__ = ["ContinuousTake", "EventTake", "Take"]

# A source's clock that leaps ahead of the real one by more than this is not believed.
_LONGEST_LEAP_NS = 60 * NS_PER_S
# The boxes of a picture are never older than this, but clocks of sources may jump.
_OLDEST_BOXES_NS = 5 * NS_PER_S
# The pictures before an event are kept in memory: at most this much, however long.
_MOST_PRE_BYTES = 64_000_000
# A recording takes no more than this share of what is kept, so that there is always an older
# one that can go.
_SHARE = 4


@dataclass(slots=True, frozen=True)
class _Timed:
    """A unit and its place on the time line of the recordings."""

    unit: AccessUnit
    at_ns: int


class _Timeline:
    """Makes one line that only grows from the times of the pictures.

    The source's own times are followed, so that a file is recorded at its speed, however
    fast it is read. Where they stand still or jump back, because the source was opened again,
    the moments of capture count.
    """

    def __init__(self) -> None:
        self._last: _Timed | None = None

    def next(self, unit: AccessUnit) -> _Timed:
        """The next unit with its time; the first is at 0."""
        at_ns = 0
        if self._last is not None:
            last = self._last.unit
            step_ns = unit.media_ns - last.media_ns
            captured_step_ns = unit.captured_ns - last.captured_ns
            if not 0 < step_ns <= captured_step_ns + _LONGEST_LEAP_NS:
                step_ns = captured_step_ns
            at_ns = self._last.at_ns + max(step_ns, NS_PER_MS)
        self._last = _Timed(unit, at_ns)
        return self._last


class Take(ABC):
    """Turns a stream of access units into recordings, one after the other.

    Args:
        store: Where they lie.
        segment_ns: Length after which the next key frame begins a new one.
        most_bytes: Size after which it does; None for any.
        request_key: Asks for a key frame soon.
    """

    def __init__(
        self,
        store: Store,
        segment_ns: int,
        most_bytes: int | None,
        request_key: Callable[[], None],
    ) -> None:
        self._store = store
        self._segment_ns = segment_ns
        self._most_bytes = None if most_bytes is None else most_bytes // _SHARE
        self._request_key = request_key
        self._timeline = _Timeline()
        self._file: SegmentFile | None = None
        self._path = Path()
        self._began_ns = 0
        self._last: _Timed | None = None
        self._added: _Timed | None = None

    def take(self, item: object) -> None:
        """Record a unit, or note what was seen.

        Raises:
            OSError: The system refuses to write.
            SinkError: There is no room left.
        """
        if isinstance(item, AccessUnit):
            self._last = self._timeline.next(item)
            self._take_unit(self._last)
        elif isinstance(item, Sighting):
            self._take_sighting(item)

    def tend(self) -> None:
        """Delete what need not be kept while nothing is recorded.

        Raises:
            SinkError: There is no room left.
        """
        self._store.tend(self._file.bytes if self._file else 0)

    def pause(self) -> None:
        """Finish what is open because no more pictures come for now.

        Raises:
            OSError: The system refuses to write.
        """
        if self._file is not None:
            self._end(None)
        self._forget()
        self._request_key()

    def close(self) -> None:
        """Finish what is open, for good.

        Raises:
            OSError: The system refuses to write.
        """
        if self._file is not None:
            self._end(None)

    def abandon(self) -> None:
        """Leave what is open at its last whole fragment, because no more can be written.

        Raises:
            OSError: The system does not even allow that.
        """
        file, self._file = self._file, None
        if file is not None and not file.close():
            self._path.unlink(missing_ok=True)

    @abstractmethod
    def _take_unit(self, timed: _Timed) -> None:
        """Record a unit, or not."""

    def _take_sighting(self, sighting: Sighting) -> None:  # noqa: B027 - events alone care
        """Note what was seen."""

    def _forget(self) -> None:  # noqa: B027 - events alone keep something
        """Drop what was kept for later."""

    def _begin(self, timed: _Timed) -> None:
        """Open a recording; the unit is its first, and is added by `_add`."""
        self._store.tend(0)
        self._path, file = self._store.create(timed.unit.captured_ns)
        try:
            self._file = SegmentFile(file, timed.unit, self._make_room)
        except BaseException:
            self._path.unlink(missing_ok=True)
            raise
        self._began_ns = timed.at_ns

    def _add(self, timed: _Timed) -> None:
        if self._file is None:
            raise ValueError("no recording is open")
        self._added = timed
        if self._file.add(timed.unit, timed.at_ns):
            self._store.tend(self._file.bytes)

    def _end(self, following: _Timed | None) -> None:
        """Close the recording.

        Args:
            following: The unit that comes after its last one; None where none does.
        """
        file, self._file = self._file, None
        if file is None:
            return
        try:
            end_ns = file.finish(None if following is None else following.at_ns)
            self._tell(file.frames, end_ns, complete=True)
        finally:
            if not file.close():
                self._path.unlink(missing_ok=True)
            self._store.finished(self._paths())

    def _tell(self, frames: int, end_ns: int, *, complete: bool) -> None:  # noqa: B027
        """Write down what is told beside the recording; events alone tell anything."""

    def _paths(self) -> list[Path]:
        """All files of the recording."""
        return [self._path]

    def _is_due(self, timed: _Timed) -> bool:
        """Whether a new recording is to begin with the next key frame, and whether it can."""
        if self._file is None:
            return True
        long = timed.at_ns - self._began_ns >= self._segment_ns
        large = self._most_bytes is not None and self._file.bytes >= self._most_bytes
        if (long or large) and not timed.unit.key:
            self._request_key()
        return long or large or not self._file.fits(timed.unit)

    def _make_room(self) -> bool:
        return self._store.make_room(least_bytes=1)


class ContinuousTake(Take):
    """Records everything."""

    def _take_unit(self, timed: _Timed) -> None:
        if self._is_due(timed) and timed.unit.key:
            self._end(timed)
            self._begin(timed)
        if self._file is not None:
            self._add(timed)


class EventTake(Take):
    """Records from some time before an event to some time after it.

    Args:
        rules: What an event is, and the times.
        store: See `Take`, as for the others.
    """

    def __init__(
        self,
        rules: EventRules,
        store: Store,
        segment_ns: int,
        most_bytes: int | None,
        request_key: Callable[[], None],
    ) -> None:
        super().__init__(store, segment_ns, most_bytes, request_key)
        self._rules = rules
        # Begins with a key frame, and so does every group in it.
        self._before: deque[_Timed] = deque()
        self._before_bytes = 0
        self._until_ns = 0
        self._story: EventStory | None = None

    def _take_unit(self, timed: _Timed) -> None:
        if self._file is None:
            self._keep(timed)
            return
        over = timed.at_ns > self._until_ns
        if over and not timed.unit.key:
            self._request_key()
        if timed.unit.key and over:
            self._end(timed)
            self._keep(timed)
            return
        if self._is_due(timed) and timed.unit.key:
            before = self._story
            self._end(timed)
            self._begin_clip(timed, before)
        self._add(timed)

    def _take_sighting(self, sighting: Sighting) -> None:
        if self._last is None:
            return
        age_ns = min(max(0, sighting.age_ns), _OLDEST_BOXES_NS)
        event_ns = self._last.at_ns - age_ns
        if self._file is None:
            if not self._before:
                return
            self._drop_before(event_ns - self._rules.pre_ns)
            self._begin_clip(self._before[0], None)
            while self._before:
                self._add(self._before.popleft())
            self._before_bytes = 0
        self._until_ns = max(self._until_ns, event_ns + self._rules.post_ns)
        if self._story is None:
            raise ValueError("a clip without a story is open")
        self._story.add(sighting, event_ns)
        if self._story.untold and self._file is not None:
            self._tell(self._file.frames, self._last.at_ns, complete=False)

    def _forget(self) -> None:
        self._before.clear()
        self._before_bytes = 0

    def _begin_clip(self, timed: _Timed, before: EventStory | None) -> None:
        """Open a clip.

        Args:
            timed: Its first unit.
            before: The story of the clip that it continues.
        """
        self._begin(timed)
        unit = timed.unit
        story = EventStory(
            self._path,
            self._rules,
            unit.source,
            unit.size,
            unit.captured_ns,
            timed.at_ns,
            self._store.clock,
        )
        self._story = story
        if before is not None:
            story.continues, story.thumbnail = before.video.name, before.thumbnail
            self._added = timed
            self._tell(0, timed.at_ns, complete=False)

    def _end(self, following: _Timed | None) -> None:
        super()._end(following)
        self._story = None

    def _paths(self) -> list[Path]:
        return super()._paths() if self._story is None else self._story.paths

    def _tell(self, frames: int, end_ns: int, *, complete: bool) -> None:
        story, last = self._story, self._added
        if story is None or last is None:
            return
        captured_ns = last.unit.captured_ns + end_ns - last.at_ns
        try:
            story.write(frames, captured_ns, end_ns, complete=complete)
        except OSError as error:
            if error.errno not in FULL or not self._make_room():
                raise
            story.write(frames, captured_ns, end_ns, complete=complete)

    def _keep(self, timed: _Timed) -> None:
        """Keep a unit in case that an event follows."""
        if not self._before and not timed.unit.key:
            return
        if self._before and timed.unit.size != self._before[0].unit.size:
            # What was before cannot be in one video with what is now.
            self._forget()
        self._before.append(timed)
        self._before_bytes += len(timed.unit.data)
        self._drop_before(timed.at_ns - self._rules.pre_ns)

    def _drop_before(self, from_ns: int) -> None:
        """Forget groups of pictures that end before a moment, or are too much to keep."""
        while True:
            keys = (index for index, each in enumerate(self._before) if each.unit.key and index)
            second = next(keys, None)
            if second is None:
                if self._before_bytes > _MOST_PRE_BYTES:
                    self._request_key()
                return
            early = self._before[second].at_ns <= from_ns
            if not early and self._before_bytes <= _MOST_PRE_BYTES:
                return
            for _ in range(second):
                self._before_bytes -= len(self._before.popleft().unit.data)
