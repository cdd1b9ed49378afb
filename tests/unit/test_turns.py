"""A lock that is fair."""

from threading import Event, Thread

from support.waiting import HANG_S, wait_for

from edge_detect.core.turns import Turns


def never() -> bool:
    return False


def test_turns_go_to_those_who_wait_in_the_order_in_which_they_asked():
    turns, order, threads = Turns(), [], []

    def work(name):
        assert turns.take(never)
        order.append(name)
        turns.give_back()

    assert turns.take(never)
    for name in range(5):
        threads.append(Thread(target=work, args=(name,)))
        threads[-1].start()
        wait_for(lambda waiting=name + 1: len(turns._waiting) == waiting)
    turns.give_back()
    for thread in threads:
        thread.join(HANG_S)
    assert order == [0, 1, 2, 3, 4]
    assert turns.take(never)


def test_who_gives_up_waiting_holds_nobody_back():
    turns, gave_up = Turns(0.01), Event()
    assert turns.take(never)
    results = []
    impatient = Thread(target=lambda: results.append(turns.take(gave_up.is_set)))
    impatient.start()
    wait_for(lambda: len(turns._waiting) == 1)
    gave_up.set()
    impatient.join(HANG_S)
    assert results == [False]
    turns.give_back()
    assert turns.take(never)


def test_a_turn_that_comes_to_one_who_has_just_given_up_goes_on_to_the_next():
    turns = Turns(0.01)
    assert turns.take(never)

    def give_up():
        # The turn is handed over between the look and the leaving.
        turns.give_back()
        return True

    assert not turns.take(give_up)
    assert turns.take(never)
