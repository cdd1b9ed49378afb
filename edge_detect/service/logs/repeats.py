"""Saying the same thing ever more seldom, and how often it was meant to be said."""

import logging
from collections import OrderedDict
from dataclasses import dataclass, replace
from threading import RLock

from edge_detect.core import NS_PER_S
from edge_detect.service.logs.entry import Entry

__all__ = ["Repeats", "repeat_key"]

Key = tuple[object, ...]

_INTERVALS_S = (60, 600, 3600)
_MOST_KEYS = 512
_MOST_TEXT = 200
# What is no warning is an event that somebody asked for, such as a reload: a few of them may
# come one after another.
_EVENTS_AT_ONCE = 10


@dataclass(slots=True)
class _Known:
    """Something that was said of late."""

    since_ns: int
    step: int
    left: int
    held: int = 0
    newest: Entry | None = None


class Repeats:
    """Lets the first of equal entries pass, and then one after a minute, ten minutes and an hour.

    Each of those tells how many it stands for, so that none is lost: also the last ones are
    said, when their time has come (`due`) or at the end (`rest`). What was not said again for
    a whole interval is forgotten, and new the next time. From any thread.

    Args:
        intervals_s: How long to hold back, the first time, the second time …
        most: Kinds of entries remembered; of more, the oldest is said and forgotten.
    """

    def __init__(self, intervals_s: tuple[int, ...] = _INTERVALS_S, most: int = _MOST_KEYS) -> None:
        self._intervals_ns = [seconds * NS_PER_S for seconds in intervals_s]
        self._most = most
        # Re-entrant, because a signal handler may log, too.
        self._lock = RLock()
        self._known: OrderedDict[Key, _Known] = OrderedDict()

    def admit(self, key: Key, entry: Entry, now_ns: int) -> list[Entry]:
        """What is to be said now that this was said.

        Args:
            key: Equal for entries that say the same.
            entry: What was said.
            now_ns: CLOCK_MONOTONIC time.
        """
        with self._lock:
            known = self._known.get(key)
            if known is None:
                at_once = 1 if entry.level >= logging.WARNING else _EVENTS_AT_ONCE
                known = self._known[key] = _Known(now_ns, 0, at_once)
            if known.left:
                known.left -= 1
                return [*self._make_room(now_ns), entry]
            known.held += 1
            known.newest = entry
            return []

    def due(self, now_ns: int) -> list[Entry]:
        """What was held back for long enough."""
        said = []
        with self._lock:
            for key, known in list(self._known.items()):
                if now_ns - known.since_ns < self._intervals_ns[known.step]:
                    continue
                if known.held:
                    said.append(_sum_up(known, now_ns))
                    known.step = min(known.step + 1, len(self._intervals_ns) - 1)
                    known.since_ns, known.held, known.newest = now_ns, 0, None
                else:
                    del self._known[key]
        return said

    def rest(self, now_ns: int) -> list[Entry]:
        """All that is still held back, and forget everything."""
        with self._lock:
            said = [_sum_up(known, now_ns) for known in self._known.values() if known.held]
            self._known.clear()
        return said

    def _make_room(self, now_ns: int) -> list[Entry]:
        if len(self._known) <= self._most:
            return []
        _, oldest = self._known.popitem(last=False)
        return [_sum_up(oldest, now_ns)] if oldest.held else []


def repeat_key(record: logging.LogRecord) -> Key:
    """What makes records equal: all but their numbers and fields, other than the camera."""
    arguments = record.args if isinstance(record.args, tuple) else (record.args or (),)
    words = tuple(
        str(value)[:_MOST_TEXT] for value in arguments if not isinstance(value, int | float)
    )
    camera = getattr(record, "camera", "")
    return (record.name, record.levelno, str(record.msg)[:_MOST_TEXT], words, str(camera))


def _sum_up(known: _Known, now_ns: int) -> Entry:
    if known.newest is None:
        raise ValueError("nothing is held back")
    within_s = (now_ns - known.since_ns) / NS_PER_S
    return replace(known.newest, repeated=known.held, within_s=within_s)
