"""Threads of a crew: none dies silently, all come to an end."""

import signal
import threading

import pytest
from support.waiting import HANG_S

from edge_detect.core import SinkError, StageError
from edge_detect.pipeline.crew import Crew
from edge_detect.pipeline.mailbox import Closed, Mailbox


def nothing():
    return None


def test_first_error_is_kept_with_its_stage_and_ends_the_others():
    crew, box = Crew(), Mailbox(lossy=True)
    crew.add_box(box)
    closed = threading.Event()

    def fail():
        raise SinkError("disk full", "make room")

    crew.add("reader", box.get, closed.set)
    crew.add("writer", fail, nothing)
    crew.start()
    assert crew.join(HANG_S)
    assert closed.is_set()
    assert isinstance(crew.error, SinkError)
    assert crew.error.stage == "writer"
    assert str(crew.error) == "writer: disk full\n  hint: make room"


def test_unforeseen_exception_becomes_a_stage_error_with_its_cause():
    crew = Crew()

    def fail():
        raise ZeroDivisionError("division by zero")

    crew.add("detect", fail, nothing)
    crew.start()
    assert crew.join(HANG_S)
    assert isinstance(crew.error, StageError)
    assert crew.error.exit_code == 70
    assert "ZeroDivisionError" in str(crew.error)
    assert isinstance(crew.error.__cause__, ZeroDivisionError)


def test_error_while_closing_is_reported_too():
    crew = Crew()

    def fail():
        raise SinkError("cannot finish the file")

    crew.add("video", nothing, fail)
    crew.start()
    assert crew.join(HANG_S)
    assert isinstance(crew.error, SinkError)


def test_box_added_after_the_stop_is_aborted_at_once():
    crew = Crew()
    crew.stop()
    box = Mailbox(lossy=True)
    crew.add_box(box)
    with pytest.raises(Closed):
        box.get()


def test_join_says_who_is_still_at_work():
    crew = Crew()
    release = threading.Event()
    crew.add("stuck", lambda: release.wait(HANG_S), nothing)
    crew.start()
    assert not crew.join(0.05)
    assert crew.alive() == ["stuck"]
    release.set()
    assert crew.join(HANG_S)
    assert crew.alive() == []


def test_a_wait_that_a_signal_ends_forgets_no_thread():
    """Recordings would lose their last second when Ctrl-C comes in the wrong moment."""
    crew, release = Crew(), threading.Event()

    def interrupt(*_):
        raise KeyboardInterrupt

    crew.add("work", release.wait, lambda: None)
    crew.start()
    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        for _ in range(3):
            signal.setitimer(signal.ITIMER_REAL, 0.05)
            with pytest.raises(KeyboardInterrupt):
                crew.join(None)
            assert crew.alive() == ["work"]
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert not crew.join(0.05)
    release.set()
    assert crew.join(HANG_S)
    assert not crew.running
