"""Between the encoder and a slow disk or server nothing grows, and nothing breaks."""

import threading

import pytest
from support.waiting import HANG_S, promptly

from edge_detect.core import NS_PER_S, Size
from edge_detect.sinks.access_units import AccessUnit, UnitQueue, UnitThread
from edge_detect.sinks.h264 import parameter_sets

GROUP = 10


def unit(number: int, size: int = 100) -> AccessUnit:
    """One of ten a second, each tenth a key frame."""
    captured_ns = number * NS_PER_S // GROUP
    data = number.to_bytes(4, "big") + b"\0" * (size - 4)
    return AccessUnit(data, number % GROUP == 0, Size(2, 2), captured_ns, captured_ns, "test")


def drain(queue: UnitQueue) -> list[int]:
    found = []
    while (item := queue.get(0)) is not None:
        found.append(int.from_bytes(item.data[:4], "big"))
    return found


def is_decodable(found: list[int]) -> bool:
    """Whether every picture follows the one before, or is a key frame."""
    return all(
        number % GROUP == 0 or (index and found[index - 1] == number - 1)
        for index, number in enumerate(found)
    )


def test_what_comes_before_the_first_key_frame_is_left_out_and_no_loss() -> None:
    queue = UnitQueue(10, 10**6, newest=False)
    for number in range(7, 25):
        queue.put(unit(number))
    assert queue.dropped == 0
    assert drain(queue) == list(range(10, 25))


@pytest.mark.parametrize(("limit_s", "limit_bytes"), [(2.5, 10**6), (1000, 2600)])
def test_a_full_queue_that_keeps_the_old_leaves_out_whole_groups(limit_s, limit_bytes) -> None:
    queue = UnitQueue(limit_s, limit_bytes, newest=False)
    found = []
    for number in range(100):
        queue.put(unit(number))
        if number == 47:
            found = drain(queue)
    found += drain(queue)
    assert found[:26] == list(range(26))
    assert found[26] == 50
    assert is_decodable(found)
    assert queue.dropped == 100 - len(found)


def test_a_full_queue_that_prefers_the_new_is_emptied() -> None:
    queue = UnitQueue(2.5, 10**6, newest=True)
    for number in range(68):
        queue.put(unit(number))
    # Full at 26 and at 56; decoding begins again at the next key frame.
    assert drain(queue) == list(range(60, 68))
    assert queue.dropped == 60


def test_a_single_unit_larger_than_the_limit_still_passes() -> None:
    queue = UnitQueue(1, 50, newest=False)
    queue.put(unit(0))
    assert drain(queue) == [0]


def test_notes_keep_their_place_and_are_bounded() -> None:
    queue = UnitQueue(100, 10**6, newest=False)
    queue.put(unit(0))
    queue.put_note("seen")
    queue.put(unit(1))
    assert [queue.get(0), queue.get(0), queue.get(0)] == [unit(0), "seen", unit(1)]
    for _ in range(5000):
        queue.put_note("seen")
    assert sum(1 for _ in iter(lambda: queue.get(0), None)) == 2000


def test_waiting_for_room_ends_when_there_is_some_or_in_time_or_at_the_end() -> None:
    queue = UnitQueue(2, 10**6, newest=False)
    assert queue.wait_for_room(0)
    for number in range(15):
        queue.put(unit(number))
    with promptly():
        assert not queue.wait_for_room(0.1)
    for release in (lambda: [queue.get(0) for _ in range(10)], queue.close):
        timer = threading.Timer(0.05, release)
        timer.start()
        with promptly():
            assert queue.wait_for_room(HANG_S)
        timer.join()
        queue.put(unit(20))


def test_a_closed_queue_gives_what_it_has_and_takes_nothing() -> None:
    queue = UnitQueue(10, 10**6, newest=False)
    queue.put(unit(0))
    queue.close()
    queue.put(unit(1))
    queue.put_note("late")
    assert drain(queue) == [0]
    assert queue.closed


def test_what_ends_a_thread_is_raised_once_where_it_is_asked_for() -> None:
    queue = UnitQueue(10, 10**6, newest=False)

    def fail() -> None:
        raise KeyError("broken")

    thread = UnitThread("edge-test", queue, fail)
    assert thread.close(5)
    with pytest.raises(KeyError, match="broken"):
        thread.check()
    thread.check()
    assert queue.closed


def test_parameter_sets_are_found_in_front_of_a_picture() -> None:
    sps, pps, picture = b"\x67\x42\xc0\x1f", b"\x68\xce\x3c", b"\x65\x88\x00\x00\x01\x67"
    data = b"\0\0\0\1" + sps + b"\0\0\0\1" + pps + b"\0\0\1\6\5" + b"\0\0\1" + picture
    assert parameter_sets(data) == (sps, pps)
    assert parameter_sets(b"\0\0\1\x41\x9a") == (b"", b"")
    assert parameter_sets(b"") == (b"", b"")
    assert parameter_sets(b"\0\0\1") == (b"", b"")
