"""A lost source is brought back, its state is known, and its time line goes on."""

import threading

import numpy as np
import pytest
from support.waiting import HANG_S, PROMPT_S, promptly, wait_for

from edge_detect.core import ConfigError, Frame, Size, SourceError, monotonic_ns
from edge_detect.core.backoff import Backoff
from edge_detect.pipeline.retry import WatchedSource
from edge_detect.sources import Source, open_source


class ScriptedSource(Source):
    """A source that gives some frames and then goes the way it is told."""

    live = True

    def __init__(self, frames: int, end: SourceError | None) -> None:
        self.name, self.size, self.fps = "camera", Size(4, 2), 30.0
        self._left, self._end, self._sequence = frames, end, 0
        self.closed = threading.Event()

    def read(self) -> Frame | None:
        if self.closed.is_set():
            return None
        if not self._left:
            if self._end is None:
                return None
            raise self._end
        self._left -= 1
        image = np.zeros((2, 4, 3), np.uint8)
        frame = Frame(image, monotonic_ns(), self._sequence, self.name, self._sequence * 1000)
        self._sequence += 1
        return frame

    def close(self) -> None:
        self.closed.set()


def watched(
    *outcomes: Source | SourceError,
    retry: bool = True,
    first_s: float = 0.01,
    stalled_s: float = 2.0,
) -> WatchedSource:
    """A watched source that opens one of the outcomes after the other."""
    waiting = list(outcomes)

    def open_next() -> Source:
        outcome = waiting.pop(0)
        if isinstance(outcome, SourceError):
            raise outcome
        return outcome

    backoff = Backoff(first_s, 10 * first_s)
    first = open_next()
    return WatchedSource(
        "camera", open_next, first, retry=retry, backoff=backoff, stalled_s=stalled_s
    )


def gone(text: str = "unplugged") -> SourceError:
    return SourceError(text, transient=True)


def test_a_lost_source_comes_back_and_its_numbers_go_on() -> None:
    first, second = ScriptedSource(3, gone()), ScriptedSource(2, None)
    with watched(first, gone("no such device"), second) as source:
        frames = [source.read() for _ in range(5)]
        assert [frame.sequence for frame in frames] == [0, 1, 2, 3, 4]
        positions = [frame.media_ns for frame in frames]
        assert positions == sorted(set(positions))
        assert source.status().state == "live"
        assert source.status().reconnects == 1
        assert first.closed.is_set()
        assert source.read() is None
        assert source.status().state == "ended"


def test_the_state_tells_why_and_since_when_a_source_is_lost(caplog) -> None:
    camera = ScriptedSource(1, gone("the cable fell out"))
    source = watched(camera, *[gone("no such device")] * 1000)
    source.read()
    reader = threading.Thread(target=source.read)
    reader.start()
    wait_for(lambda: source.status().reason == "no such device")
    status = source.status()
    assert status.state == "lost"
    assert 0 <= status.for_s < PROMPT_S
    assert status.size == Size(4, 2)
    with promptly():
        source.close()
        reader.join(HANG_S)
    # Once for each reason, not once for each try.
    assert sum("no such device" in record.message for record in caplog.records) == 1


def test_a_source_that_gives_nothing_is_stalled_before_it_is_lost() -> None:
    with watched(ScriptedSource(1, None), stalled_s=0.001) as source:
        assert source.status().state == "connecting"
        source.read()
        wait_for(lambda: source.status().state == "stalled")


def test_an_error_for_good_before_the_first_frame_passes() -> None:
    with (
        watched(ScriptedSource(0, SourceError("wrong password"))) as source,
        pytest.raises(SourceError, match="wrong password"),
    ):
        source.read()


def test_an_error_for_good_after_frames_is_tried_again() -> None:
    with watched(
        ScriptedSource(1, SourceError("wrong password")), ScriptedSource(1, None)
    ) as source:
        assert source.read() is not None
        assert source.read() is not None
        assert source.status().reconnects == 1


def test_work_through_files_is_never_tried_again() -> None:
    with watched(ScriptedSource(1, gone()), retry=False) as source:
        source.read()
        with pytest.raises(SourceError, match="unplugged"):
            source.read()


def test_errors_that_are_not_the_sources_pass() -> None:
    def misspelt() -> Source:
        raise ConfigError("no such option")

    with (
        WatchedSource("camera", misspelt, None, retry=True) as source,
        pytest.raises(ConfigError),
    ):
        source.read()


def test_waiting_for_the_next_try_ends_at_once_when_closed() -> None:
    source = watched(ScriptedSource(0, gone()), *[gone()] * 1000, first_s=2 * HANG_S)
    reader = threading.Thread(target=source.read)
    reader.start()
    wait_for(lambda: source.status().reason != "")
    with promptly():
        source.close()
        reader.join(HANG_S)


class SlowSource(ScriptedSource):
    """Has every read wait until it is told to go on."""

    def __init__(self) -> None:
        super().__init__(1, None)
        self.asked, self.go_on = threading.Event(), threading.Event()

    def read(self) -> Frame | None:
        self.asked.set()
        assert self.go_on.wait(HANG_S)
        return super().read()


def test_a_source_is_at_work_from_being_asked_to_its_frame() -> None:
    """Also one that is asked at the very start of the clock, whose 0 is a time like any other."""
    now_ns = [0]
    slow = SlowSource()
    source = WatchedSource("camera", lambda: slow, slow, retry=True, clock=lambda: now_ns[0])
    assert source.busy_ns(5_000) == 0
    reader = threading.Thread(target=source.read)
    reader.start()
    assert slow.asked.wait(HANG_S)
    assert source.busy_ns(5_000) == 5_000
    slow.go_on.set()
    reader.join(HANG_S)
    assert source.busy_ns(9_000) == 0


def test_a_source_that_is_being_opened_again_is_at_work() -> None:
    now_ns = [0]
    asked, go_on = threading.Event(), threading.Event()

    def open_slowly() -> Source:
        asked.set()
        assert go_on.wait(HANG_S)
        return ScriptedSource(1, None)

    source = WatchedSource(
        "camera", open_slowly, None, retry=True, backoff=Backoff(0.01), clock=lambda: now_ns[0]
    )
    reader = threading.Thread(target=source.read)
    reader.start()
    assert asked.wait(HANG_S)
    assert source.busy_ns(7_000) == 7_000
    go_on.set()
    reader.join(HANG_S)
    assert source.busy_ns(9_000) == 0


def test_a_looped_test_camera_is_lost_and_found_with_its_file(write_video, grey_steps) -> None:
    path = write_video("camera.mp4", grey_steps, fps=100)
    away = path.with_suffix(".away")

    def open_file() -> Source:
        return open_source(f"file://{path}?loop=true&realtime=true")

    backoff = Backoff(0.05, 0.2)
    with WatchedSource("camera", open_file, open_file(), retry=True, backoff=backoff) as source:
        stop = threading.Event()

        def read_on() -> None:
            while not stop.is_set() and source.read() is not None:
                pass

        reader = threading.Thread(target=read_on)
        reader.start()
        wait_for(lambda: source.status().state == "live")
        path.rename(away)
        wait_for(lambda: source.status().state == "lost")
        away.rename(path)
        wait_for(lambda: source.status().state == "live")
        assert source.status().reconnects == 1
        stop.set()
        reader.join(HANG_S)
