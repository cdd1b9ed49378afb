"""What a mailbox promises to writer and reader."""

import threading

import pytest
from support.waiting import HANG_S, promptly, wait_for

from edge_detect.pipeline.mailbox import Closed, Mailbox


def in_thread(work):
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def test_slow_reader_gets_the_newest_value_and_the_drop_is_handed_back():
    box = Mailbox(lossy=True)
    assert box.put("old") is None
    assert box.put("new") == "old"
    assert box.get() == "new"


def test_lossless_box_keeps_order_and_loses_nothing_between_threads():
    box = Mailbox(3, lossy=False)
    received = []

    def read():
        try:
            while True:
                received.append(box.get())
        except Closed:
            pass

    reader = in_thread(read)
    for number in range(1000):
        assert box.put(number) is None
    box.finish()
    reader.join(HANG_S)
    assert received == list(range(1000))


def test_lossless_writer_waits_until_there_is_room():
    box = Mailbox(1, lossy=False)
    box.put(1)
    done = threading.Event()
    in_thread(lambda: (box.put(2), done.set()))
    assert not done.wait(0.05)
    assert box.get() == 1
    assert done.wait(HANG_S)
    assert box.get() == 2


def test_finished_box_is_drained_before_it_closes():
    box = Mailbox(2, lossy=False)
    box.put("last")
    box.finish()
    assert box.get() == "last"
    with pytest.raises(Closed):
        box.get()
    with pytest.raises(Closed):
        box.put("too late")


def test_abort_wakes_a_waiting_reader_and_a_waiting_writer_at_once():
    empty, full = Mailbox(lossy=False), Mailbox(lossy=False)
    full.put(1)
    outcomes = []

    def attempt(call):
        try:
            call()
        except Closed:
            outcomes.append("closed")

    threads = [
        in_thread(lambda: attempt(empty.get)),
        in_thread(lambda: attempt(lambda: full.put(2))),
    ]
    with promptly():
        empty.abort()
        full.abort()
        for thread in threads:
            thread.join(HANG_S)
    assert outcomes == ["closed", "closed"]


def test_abort_throws_away_what_waits():
    box = Mailbox(lossy=True)
    box.put(1)
    box.abort()
    with pytest.raises(Closed):
        box.get()
    with pytest.raises(Closed):
        box.check()


def test_waiting_with_a_timeout_ends_in_time():
    with promptly(), pytest.raises(TimeoutError):
        Mailbox(lossy=True).get(timeout_s=0.05)


def test_a_reader_is_at_work_from_taking_an_item_to_asking_for_the_next():
    """Also one that took it at the very start of the clock, whose 0 is a time like any other."""
    now_ns = [0]
    box = Mailbox(lossy=True, clock=lambda: now_ns[0])
    assert box.busy_ns(0) == 0
    box.put(1)
    box.get()
    assert box.busy_ns(3_000) == 3_000
    reader = in_thread(box.get)
    wait_for(lambda: box.busy_ns(5_000) == 0)
    box.put(2)
    reader.join(HANG_S)
    now_ns[0] = 7_000
    assert box.busy_ns(7_000) == 7_000


def test_a_reader_that_rests_is_not_at_work_although_it_asks_for_nothing():
    clock = iter([5, 9])
    box = Mailbox(2, lossy=False, clock=lambda: next(clock))
    box.put("one")
    box.put("two")
    box.get()
    assert box.busy_ns(7) == 2
    box.rest()
    assert box.busy_ns(8) == 0
    box.get()
    assert box.busy_ns(10) == 1


def test_ready_and_room_tell_whether_get_and_put_would_wait():
    box = Mailbox(1, lossy=False)
    assert (box.ready, box.has_room) == (False, True)
    box.put(1)
    assert (box.ready, box.has_room) == (True, False)
    box.get()
    box.finish()
    # Both would raise `Closed`, and neither would wait.
    assert (box.ready, box.has_room) == (True, True)
    assert Mailbox(1, lossy=True).has_room


def test_waiting_for_room_ends_when_the_reader_takes_something_or_everything_stops():
    box = Mailbox(1, lossy=False)
    box.put(1)
    outcomes = []

    def wait():
        try:
            box.wait_for_room()
        except Closed:
            outcomes.append("closed")
        else:
            outcomes.append("room")

    waiting = in_thread(wait)
    assert box.get() == 1
    waiting.join(HANG_S)
    box.put(2)
    waiting = in_thread(wait)
    box.abort()
    waiting.join(HANG_S)
    assert outcomes == ["room", "closed"]


def test_a_box_without_room_is_a_programmers_mistake():
    with pytest.raises(ValueError, match="at least 1, got 0"):
        Mailbox(0, lossy=True)


def test_reader_that_was_waiting_gets_the_value():
    box = Mailbox(lossy=True)
    received = []
    reader = in_thread(lambda: received.append(box.get()))
    box.put(7)
    reader.join(HANG_S)
    assert received == [7]
