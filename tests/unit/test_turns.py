"""Work of several threads, one step at a time."""

from contextvars import ContextVar
from threading import Event, Thread, current_thread

import pytest
from support.waiting import HANG_S, promptly, wait_for

from edge_detect.core.turns import Turn, Turns


def never() -> bool:
    return False


class Worker:
    """A thread with so many steps to do, which are noted."""

    def __init__(self, turns, name, steps, notes, *, give_up=never, hold=None):
        self.left, self.error, self.results = steps, None, []
        self._name, self._notes, self._hold = name, notes, hold
        self._turns, self._give_up = turns, give_up
        self.turn = Turn(self.step, lambda: self.left > 0)
        self.thread = Thread(target=self._work, name=name, daemon=True)

    def start(self):
        self.thread.start()
        return self

    def join(self):
        self.thread.join(HANG_S)
        assert not self.thread.is_alive()

    def step(self):
        if self._hold is not None:
            assert self._hold.wait(HANG_S)
        self.left -= 1
        self._notes.append((self._name, current_thread().name))

    def _work(self):
        try:
            while self.left and not self._give_up():
                self.results.append(self._turns.take(self.turn, self._give_up))
        except Exception as error:  # noqa: BLE001 - looked at by the test
            self.error = error


def line_up(turns, first, *others):
    """Start workers: the first is at its step, and the others wait in this order."""
    first.start()
    wait_for(lambda: turns._led)
    for count, worker in enumerate(others, 1):
        worker.start()
        wait_for(lambda count=count: len(turns._waiting) == count)


def go_on(hold, *workers):
    """Let the first step end, and all workers come to their end."""
    hold.set()
    for worker in workers:
        worker.join()


def test_steps_are_done_in_the_order_in_which_threads_asked():
    turns, notes, hold = Turns(), [], Event()
    first = Worker(turns, "0", 1, notes, hold=hold)
    workers = [first, *(Worker(turns, name, 1, notes) for name in "1234")]
    line_up(turns, *workers)
    go_on(hold, *workers)
    assert [name for name, _ in notes] == ["0", "1", "2", "3", "4"]


def test_threads_with_more_to_do_take_turns_one_step_each():
    turns, notes, hold = Turns(), [], Event()
    first = Worker(turns, "a", 50, notes, hold=hold)
    workers = [first, *(Worker(turns, name, 50, notes) for name in "bc")]
    line_up(turns, *workers)
    go_on(hold, *workers)
    names = [name for name, _ in notes]
    rounds = {frozenset(names[at : at + 3]) for at in range(0, 150, 3)}
    assert rounds == {frozenset("abc")}


def test_the_steps_of_all_stay_in_one_thread_while_there_are_any():
    turns, notes, hold = Turns(), [], Event()
    first = Worker(turns, "a", 20, notes, hold=hold)
    second = Worker(turns, "b", 20, notes)
    line_up(turns, first, second)
    go_on(hold, first, second)
    assert {thread for _, thread in notes} == {"a"}
    assert second.results == [True]


def test_what_a_step_raises_reaches_the_thread_whose_step_it_was_alone():
    turns, notes, hold = Turns(), [], Event()

    class Failing(Worker):
        def step(self):
            raise ValueError(f"in {current_thread().name}")

    first = Worker(turns, "a", 3, notes, hold=hold)
    failing = Failing(turns, "b", 1, notes)
    line_up(turns, first, failing)
    go_on(hold, first, failing)
    assert str(failing.error) == "in a"
    assert first.error is None
    assert len(notes) == 3


def test_a_thread_whose_own_step_fails_has_the_next_one_go_on():
    turns, notes, hold = Turns(), [], Event()

    class Failing(Worker):
        def step(self):
            assert hold.wait(HANG_S)
            raise ValueError("failed")

    failing = Failing(turns, "a", 1, notes)
    workers = [failing, *(Worker(turns, name, 2, notes) for name in "bc")]
    line_up(turns, *workers)
    go_on(hold, *workers)
    assert isinstance(failing.error, ValueError)
    assert sorted(name for name, _ in notes) == ["b", "b", "c", "c"]


def test_who_gives_up_waiting_holds_no_other_back():
    turns, gave_up, notes, hold = Turns(0.01), Event(), [], Event()
    first = Worker(turns, "a", 1, notes, hold=hold)
    impatient = Worker(turns, "b", 1, notes, give_up=gave_up.is_set)
    line_up(turns, first, impatient)
    gave_up.set()
    impatient.join()
    assert impatient.results == [False]
    go_on(hold, first)
    assert [name for name, _ in notes] == ["a"]
    assert not turns._led


def test_who_gives_up_while_its_step_is_done_elsewhere_waits_for_the_end_of_it():
    turns, gave_up, notes, begun, end = Turns(0.01), Event(), [], Event(), Event()
    hold = Event()

    class Slow(Worker):
        def step(self):
            begun.set()
            assert end.wait(HANG_S)
            super().step()

    first = Worker(turns, "a", 1, notes, hold=hold)
    slow = Slow(turns, "b", 5, notes, give_up=gave_up.is_set)
    line_up(turns, first, slow)
    hold.set()
    assert begun.wait(HANG_S)
    gave_up.set()
    wait_for(lambda: slow.turn.leaving)
    assert slow.thread.is_alive()
    go_on(end, slow, first)
    assert notes == [("a", "a"), ("b", "a")]
    assert slow.results == [True]


def test_who_stops_while_it_does_the_steps_of_others_has_one_of_them_go_on():
    turns, stop, notes, hold = Turns(0.01), Event(), [], Event()

    class Stopping(Worker):
        def step(self):
            super().step()
            stop.set()

    first = Stopping(turns, "a", 100, notes, give_up=stop.is_set, hold=hold)
    workers = [first, *(Worker(turns, name, 3, notes) for name in "bc")]
    line_up(turns, *workers)
    go_on(hold, *workers)
    assert notes[0] == ("a", "a")
    assert {thread for _, thread in notes[1:]} == {"b"}
    assert sorted(name for name, _ in notes[1:]) == list("bbbccc")


def test_a_turn_that_comes_to_one_who_has_just_given_up_goes_on_to_the_next():
    turns, notes = Turns(0.01), []
    # Somebody else leads, and passes the lead on between the look and the leaving.
    turns._led = True

    def give_up():
        turns._pass_on()
        return True

    with promptly():
        assert not turns.take(Turn(lambda: notes.append("a"), never), give_up)
        assert turns.take(Turn(lambda: notes.append("b"), never), never)
    assert notes == ["b"]


def test_a_step_runs_in_the_context_of_the_thread_that_asked():
    turns, hold, seen = Turns(), Event(), {}
    camera = ContextVar("camera", default="none")

    def work(name, event):
        camera.set(name)
        left = [1]

        def step():
            assert event.wait(HANG_S)
            left[0] -= 1
            seen[name] = camera.get(), current_thread().name

        turns.take(Turn(step, lambda: left[0] > 0), never)

    set_already = Event()
    set_already.set()
    first = Thread(target=work, args=("yard", hold), name="first", daemon=True)
    second = Thread(target=work, args=("gate", set_already), name="second", daemon=True)
    first.start()
    wait_for(lambda: turns._led)
    second.start()
    wait_for(lambda: turns._waiting)
    hold.set()
    first.join(HANG_S)
    second.join(HANG_S)
    assert seen == {"yard": ("yard", "first"), "gate": ("gate", "first")}


@pytest.mark.parametrize("threads", [2, 5])
def test_no_step_is_lost_or_done_twice_at_a_time_whoever_comes_and_goes(threads):
    turns, inside, most, notes = Turns(0.001), [0], [0], []

    class Careful(Worker):
        def step(self):
            inside[0] += 1
            most[0] = max(most[0], inside[0])
            super().step()
            inside[0] -= 1

    workers = [Careful(turns, str(name), 300, notes).start() for name in range(threads)]
    for worker in workers:
        worker.join()
    assert most == [1]
    assert len(notes) == 300 * threads
    assert not turns._led
    assert not turns._waiting
