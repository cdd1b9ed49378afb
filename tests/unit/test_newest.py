"""Pictures get their own boxes from a quick detector, and fresh ones from a slow one."""

import threading

import numpy as np
import pytest
from support.waiting import HANG_S

from edge_detect.core import NS_PER_MS, NS_PER_S, Detections, Frame, Result, Timings, monotonic_ns
from edge_detect.pipeline.newest import Newest


def frame_of(sequence: int, captured_ns: int | None = None, width: int = 8) -> Frame:
    now_ns = monotonic_ns() if captured_ns is None else captured_ns
    return Frame(np.zeros((4, width, 3), np.uint8), now_ns, sequence, "test", 0)


def result_of(frame: Frame, after_ms: float = 5) -> Result:
    detected_ns = frame.captured_ns + round(after_ms * NS_PER_MS)
    return Result(frame, Detections.empty(), Timings(detected_ns=detected_ns))


@pytest.fixture
def newest() -> Newest:
    newest = Newest()
    newest.put(result_of(frame_of(0)))
    return newest


def test_a_picture_waits_for_its_own_boxes_when_the_detector_is_quick(newest) -> None:
    frame = frame_of(1, monotonic_ns() + NS_PER_S)
    own = result_of(frame)
    later = threading.Timer(0.05, newest.put, [own])
    later.start()
    assert newest.result_for(frame) is own
    later.join()


def test_it_waits_no_longer_than_its_patience(newest) -> None:
    frame = frame_of(1)
    assert newest.result_for(frame).frame.sequence == 0
    assert monotonic_ns() - frame.captured_ns > 15 * NS_PER_MS


def test_pictures_that_come_rarely_wait_longer(newest) -> None:
    start_ns = monotonic_ns()
    for number in range(40):
        newest.put(result_of(frame_of(number, start_ns + number * NS_PER_S // 10), after_ms=45))
        newest.result_for(frame_of(number, start_ns + number * NS_PER_S // 10))
    # At 30 fps, a detector that takes 45 ms would not be waited for.
    frame = frame_of(40, start_ns + 4 * NS_PER_S)
    own = result_of(frame)
    later = threading.Timer(0.05, newest.put, [own])
    later.start()
    assert newest.result_for(frame) is own
    later.join()


def test_the_first_picture_tells_nothing_of_the_time_between_two() -> None:
    """Also where it was taken within a second of the machine's start."""
    usual_ns = Newest()._patience_ns(frame_of(0, 1000 * NS_PER_S))
    assert Newest()._patience_ns(frame_of(0, NS_PER_S // 2)) == usual_ns


def test_nobody_waits_for_a_slow_detector(newest) -> None:
    # A frame of the future would be waited for until then.
    future_ns = monotonic_ns() + round(HANG_S * NS_PER_S)
    for sequence in range(1, 30):
        newest.put(result_of(frame_of(sequence, future_ns), after_ms=80))
    frame = frame_of(30, future_ns + NS_PER_MS)
    assert newest.result_for(frame).frame.sequence == 29
    assert monotonic_ns() < frame.captured_ns


def test_boxes_from_before_a_long_break_are_not_drawn(newest) -> None:
    assert newest.result_for(frame_of(0, monotonic_ns() + 3 * NS_PER_S)) is None


def test_boxes_of_another_picture_size_are_not_drawn(newest) -> None:
    assert newest.result_for(frame_of(0, width=16)) is None


def test_before_the_first_detections_there_is_nothing_to_draw() -> None:
    assert Newest().result_for(frame_of(5)) is None
