"""A source that is watched, and opened again whenever it is lost."""

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from threading import Event

from edge_detect.core import (
    NS_PER_S,
    Frame,
    Size,
    SourceError,
    SourceStatus,
    monotonic_ns,
)
from edge_detect.core.backoff import Backoff
from edge_detect.core.status import SourceState
from edge_detect.core.url import parse_url
from edge_detect.sources import Source, open_source

__all__ = ["WatchedSource", "watch_source"]

_log = logging.getLogger(__name__)

# Even cameras in the dark are faster.
_STALLED_S = 2.0


class WatchedSource(Source):
    """Hands on the frames of a source, knows its state, and brings it back when it is lost.

    Lost is a source that raises a transient `SourceError`, or any `SourceError` after it
    gave frames: a camera that reboots may well refuse the right password for a minute. It is
    tried again without a limit. Sequence numbers and time line go on across losses.

    Args:
        name: URL or path without credentials.
        open_source: Opens the source anew.
        source: The source where it is open already.
        reason: Why it is not; then it is tried again after a while.
        retry: False lets every error pass, for work through files.
        backoff: How long to wait before each try; None for half a second to half a minute.
        stalled_s: A live source that gives nothing for so long is stalled.
        clock: CLOCK_MONOTONIC, in nanoseconds.
    """

    def __init__(
        self,
        name: str,
        open_source: Callable[[], Source],
        source: Source | None,
        *,
        reason: str = "",
        retry: bool,
        backoff: Backoff | None = None,
        stalled_s: float = _STALLED_S,
        clock: Callable[[], int] = monotonic_ns,
    ) -> None:
        self.name = name
        self.size: Size | None = None
        self.fps: float | None = None
        self.live = retry
        self._open_source = open_source
        self._clock = clock
        self._retry = retry
        self._backoff = Backoff() if backoff is None else backoff
        self._stalled_ns = round(stalled_s * NS_PER_S)
        self._closed = Event()
        self._state: SourceState = "connecting"
        self._reason = reason
        self._busy_since_ns: int | None = None
        self._since_ns = self._opened_ns = self._last_frame_ns = self._clock()
        self._reconnects = 0
        self._next_sequence = self._base_sequence = 0
        self._first_ns = self._base_media_ns = 0
        self._source: Source | None = None
        if source is not None:
            self._adopt(source)

    def read(self) -> Frame | None:
        """The next frame, however long it takes to get the source back.

        Returns:
            The frame; None at the end of a source that ends, and after `close`.

        Raises:
            SourceError: The source cannot be had, and trying again would not help.
        """
        while not self._closed.is_set():
            try:
                source = self._source or self._reopen()
                self._busy_since_ns = self._clock()
                frame = None if source is None else source.read()
            except SourceError as error:
                self._lose(error)
                continue
            finally:
                self._busy_since_ns = None
            if frame is not None:
                return self._pass(frame)
            if source is not None:
                self._enter("ended")
                return None
        return None

    def close(self) -> None:
        """Let go; a waiting `read` returns None as soon as the source's own does."""
        self._closed.set()
        source = self._source
        if source is not None:
            source.close()

    def busy_ns(self, now_ns: int) -> int:
        """For how long the source has been asked for one frame, or to open; 0 between.

        A recording may have nothing to show for minutes: that is no work.
        """
        since_ns, source = self._busy_since_ns, self._source
        resting = source is not None and source.resting
        return 0 if since_ns is None or resting else now_ns - since_ns

    def status(self) -> SourceStatus:
        """What is known about it now; may be asked from any thread."""
        now_ns = self._clock()
        state, since_ns = self._state, self._since_ns
        if state == "live" and self._retry and now_ns - self._last_frame_ns > self._stalled_ns:
            state, since_ns = "stalled", self._last_frame_ns
        return SourceStatus(
            self.name,
            state,
            (now_ns - since_ns) / NS_PER_S,
            self._reason,
            self._reconnects,
            self.size,
            self.fps,
        )

    def _adopt(self, source: Source) -> None:
        self._source = source
        self._opened_ns = self._clock()
        self.size = source.size or self.size
        self.fps = source.fps or self.fps
        if self._closed.is_set():
            # `close` came while it was opened and did not see it.
            source.close()

    def _reopen(self) -> Source | None:
        """Wait a while, and open the source; None after `close`."""
        if self._closed.wait(self._backoff.next_s()):
            return None
        self._busy_since_ns = self._clock()
        source = self._open_source()
        self._adopt(source)
        return source

    def _pass(self, frame: Frame) -> Frame:
        self._last_frame_ns = self._clock()
        if self._state != "live":
            self._go_live(frame)
        self.size = frame.size
        if self._base_sequence or self._base_media_ns:
            frame = replace(
                frame,
                sequence=frame.sequence + self._base_sequence,
                media_ns=frame.media_ns + self._base_media_ns,
            )
        self._next_sequence = frame.sequence + 1
        return frame

    def _go_live(self, frame: Frame) -> None:
        if self._state == "lost":
            self._reconnects += 1
            self._base_sequence = self._next_sequence
            self._base_media_ns = frame.captured_ns - self._first_ns - frame.media_ns
            lost_s = (self._clock() - self._since_ns) / NS_PER_S
            _log.warning("%s: back after %.1f s", self.name, lost_s)
        else:
            self._first_ns = frame.captured_ns - frame.media_ns
            if self._reason:
                _log.warning("%s: connected", self.name)
        self._reason = ""
        self.fps = (self._source.fps if self._source else None) or self.fps
        self._enter("live")

    def _lose(self, error: SourceError) -> None:
        source, self._source = self._source, None
        if source is not None:
            source.close()
        had_frames = self._state in ("live", "lost")
        if self._closed.is_set():
            return
        if not self._retry or not (error.transient or had_frames):
            raise error
        new, self._reason = error.message != self._reason, error.message
        if self._state == "live":
            self._backoff.worked_for(self._clock() - self._opened_ns)
            self._enter("lost")
        if new:
            # Said once for each reason: a camera may be away for weeks.
            when = "back" if had_frames else "there"
            _log.warning("%s; trying again until it is %s", error.said_of(self.name), when)

    def _enter(self, state: SourceState) -> None:
        self._state, self._since_ns = state, self._clock()


def watch_source(url: str | Path, mode: str | None) -> WatchedSource:
    """Open a source, and have it watched.

    Args:
        url: As `open_source` takes it.
        mode: `live` paces files by their own clock; `every` does not, and passes every
            error; None leaves both to the URL.

    Raises:
        SourceError: It cannot be opened, and trying again would not help.
        ConfigError: An option of the URL is misspelt or has an impossible value.
    """

    def open_again() -> Source:
        return open_source(url, paced=None if mode is None else mode == "live")

    try:
        source = open_again()
    except SourceError as error:
        if not error.transient or mode == "every":
            raise
        name = parse_url(url).name
        _log.warning("%s; trying again until it is there", error.said_of(name))
        return WatchedSource(name, open_again, None, reason=error.message, retry=True)
    return WatchedSource(source.name, open_again, source, retry=source.live and mode != "every")
