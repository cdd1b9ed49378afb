"""What every live source promises, as checks that take any of them.

A new source joins by a `Case` in the table of integration/test_source_contract.py. One that
runs in a process of its own, with a made-up kernel before it, calls the checks there:

    for check in CHECKS:
        check(Case(camera.url(), ...))
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import psutil
import pytest

from edge_detect.core import Frame, SourceError, monotonic_ns
from edge_detect.sources import Source, open_source
from support.streams import connected
from support.waiting import HANG_S, promptly, wait_for

__all__ = ["CHECKS", "Case"]


@dataclass(frozen=True)
class Case:
    """A source, and what can be done to its device.

    Attributes:
        url: Gives at least ten frames a second.
        quiet_url: Keeps a reader waiting until it fails or for `HANG_S`, at the latest for the
            second frame.
        lose: Takes the device away; None where it cannot be lost.
        restore: Brings it back under the same URL.
        cycles: How often it is opened and closed, to find leaks.
        open_url: Opens it.
    """

    url: str
    quiet_url: str
    lose: Callable[[], None] | None = None
    restore: Callable[[], None] | None = None
    cycles: int = 50
    open_url: Callable[[str], Source] = open_source


def check_frames(case: Case) -> None:
    """Frames have increasing numbers and times of capture, which lie in the past."""
    begin_ns = monotonic_ns()
    with connected(case.url, case.open_url) as (source, first):
        assert source.live
        assert source.size == first.size
        assert source.fps is None or 0 < source.fps <= 1000
        assert begin_ns - 1_000_000_000 < first.captured_ns <= monotonic_ns()
        last = first
        for _ in range(10):
            frame = source.read()
            assert last.captured_ns < frame.captured_ns <= monotonic_ns()
            assert last.sequence < frame.sequence
            assert last.media_ns <= frame.media_ns
            assert frame.source == source.name
            assert frame.image.shape == (source.size.height, source.size.width, 3)
            assert frame.image.flags.c_contiguous
            last = frame


def check_closing(case: Case) -> None:
    """A reader that waits gets None at once when another thread closes the source."""
    source = case.open_url(case.quiet_url)
    waiting_since_s = [float("inf")]
    results: list[object] = []

    def read() -> None:
        frame: Frame | None = None
        try:
            while True:
                waiting_since_s[0] = time.monotonic()
                frame = source.read()
                if frame is None:
                    break
            results.append(None)
        except SourceError as error:
            results.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    # Nothing else tells that it is not about to return.
    wait_for(lambda: time.monotonic() - waiting_since_s[0] > 0.3)
    with promptly():
        source.close()
        reader.join(HANG_S)
    assert results == [None]
    source.close()
    assert source.read() is None


def check_opening_again(case: Case) -> None:
    """A source can be opened again at once, and also while the last one is not closed yet."""
    for _ in range(3):
        with connected(case.url, case.open_url) as (source, frame):
            assert source.size == frame.size
            assert source.read() is not None


def check_loss(case: Case) -> None:
    """A device that is lost ends in an error that may pass, and comes back."""
    if case.lose is None or case.restore is None:
        return
    with connected(case.url, case.open_url) as (source, _):
        case.lose()
        with pytest.raises(SourceError) as caught:
            while source.read() is not None:
                pass
        assert caught.value.transient
        assert caught.value.hint
    case.restore()
    with connected(case.url, case.open_url) as (source, _):
        assert source.read() is not None


def check_leaks(case: Case) -> None:
    """Opened and closed again and again, a source leaves no threads and no open files."""

    def cycle(times: int) -> None:
        for _ in range(times):
            with connected(case.url, case.open_url):
                pass

    cycle(5)
    wait_for(lambda: not _source_threads())
    program = psutil.Process()
    files, threads = program.num_fds(), threading.active_count()
    cycle(case.cycles)
    wait_for(lambda: program.num_fds() <= files and threading.active_count() <= threads)


def _source_threads() -> list[str]:
    return [each.name for each in threading.enumerate() if each.name.startswith("edge-")]


CHECKS = (check_frames, check_closing, check_opening_again, check_loss, check_leaks)
