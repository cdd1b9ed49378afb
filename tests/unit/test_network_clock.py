"""Capture times of network streams, what is left out when decoding lags, and what is hidden."""

import random

from hypothesis import given
from hypothesis import strategies as st

from edge_detect.core import NS_PER_MS, NS_PER_S
from edge_detect.sources.network.clock import ArrivalClock, Backlog
from edge_detect.sources.network.damage import Damage

STEP_NS = 40 * NS_PER_MS


def test_jitter_of_the_network_is_taken_out() -> None:
    jitter = random.Random(1)
    clock = ArrivalClock(3 * NS_PER_S)
    errors = []
    for number in range(500):
        taken_ns = 7 * NS_PER_S + number * STEP_NS
        delay_ns = jitter.randrange(30 * NS_PER_MS)
        captured_ns = clock.captured_ns(taken_ns + delay_ns, number * STEP_NS)
        errors.append(captured_ns - taken_ns)
    assert max(errors[50:]) < 3 * NS_PER_MS
    assert min(errors) >= 0


def test_a_burst_after_a_stall_keeps_its_age() -> None:
    clock = ArrivalClock(3 * NS_PER_S)
    for number in range(25):
        clock.captured_ns(number * STEP_NS, number * STEP_NS)
    arrived_ns = 60 * STEP_NS
    captured = [clock.captured_ns(arrived_ns, number * STEP_NS) for number in range(25, 60)]
    assert captured == [number * STEP_NS for number in range(25, 60)]


def test_stamps_that_jump_start_anew() -> None:
    clock = ArrivalClock(3 * NS_PER_S)
    clock.captured_ns(10 * NS_PER_S, 500 * NS_PER_S)
    assert clock.captured_ns(11 * NS_PER_S, 2 * NS_PER_S) == 11 * NS_PER_S
    assert clock.captured_ns(12 * NS_PER_S, 900 * NS_PER_S) == 12 * NS_PER_S
    assert clock.captured_ns(13 * NS_PER_S, None) == 13 * NS_PER_S


def test_a_clock_that_runs_too_slowly_is_followed() -> None:
    clock = ArrivalClock(3 * NS_PER_S)
    ages = []
    for number in range(25 * 600):
        arrived_ns = number * STEP_NS
        stamp_ns = round(arrived_ns * 0.9999)
        ages.append(arrived_ns - clock.captured_ns(arrived_ns, stamp_ns))
    assert max(ages) <= 1.1 * NS_PER_MS


@given(
    st.lists(
        st.tuples(
            st.integers(0, 5 * NS_PER_S),
            st.one_of(st.none(), st.integers(-(1 << 62), 1 << 62)),
        ),
        max_size=40,
    )
)
def test_capture_times_increase_and_lie_in_the_past_whatever_the_stamps(packets) -> None:
    clock = ArrivalClock(3 * NS_PER_S)
    arrived_ns = last_ns = -1
    for pause_ns, stamp_ns in packets:
        arrived_ns += pause_ns + 1
        captured_ns = clock.captured_ns(arrived_ns, stamp_ns)
        assert last_ns < captured_ns <= arrived_ns
        last_ns = captured_ns


def simulate(decode_ns: int, key_every: int, seconds: int) -> tuple[list[int], int]:
    """A camera with 30 pictures a second before a decoder of some speed.

    Returns:
        Ages of the pictures when they were decoded, and how many there are.
    """
    backlog = Backlog()
    now_ns = NS_PER_S
    ages = []
    for number in range(30 * seconds):
        came_ns = NS_PER_S + number * NS_PER_S // 30
        asked_ns, now_ns = now_ns, max(now_ns + NS_PER_MS // 10, came_ns)
        if not backlog.leave_out(asked_ns, now_ns, key=number % key_every == 0):
            now_ns += decode_ns
            ages.append(now_ns - came_ns)
    return ages, len(ages)


def test_a_decoder_that_keeps_up_leaves_nothing_out() -> None:
    _, decoded = simulate(25 * NS_PER_MS, 30, 60)
    assert decoded == 30 * 60


def test_a_decoder_that_is_too_slow_never_falls_behind_by_more_than_a_second() -> None:
    for key_every in (1, 30, 120):
        ages, decoded = simulate(60 * NS_PER_MS, key_every, 600)
        assert max(ages) < 1.5 * NS_PER_S
        assert decoded > 30 * 600 / 8


def test_a_server_without_any_pace_is_shown_in_part() -> None:
    backlog = Backlog()
    now_ns, decoded, longest, last_ns = 0, 0, 0, 0
    for number in range(100_000):
        asked_ns, now_ns = now_ns, now_ns + 100_000
        if not backlog.leave_out(asked_ns, now_ns, key=number % 15 == 0):
            now_ns += 5 * NS_PER_MS
            longest, last_ns = max(longest, now_ns - last_ns), now_ns
            decoded += 1
    assert decoded > 1000
    assert longest < 1.5 * NS_PER_S


def test_what_builds_on_damage_is_hidden_until_a_key_frame() -> None:
    damage = Damage()
    assert not damage.hides(1, corrupt=False, key=False)
    damage.note(2)
    assert damage.hides(3, corrupt=False, key=False)
    assert not damage.hides(4, corrupt=False, key=True)
    assert not damage.hides(5, corrupt=False, key=False)
    assert damage.hides(6, corrupt=True, key=True)
    assert damage.hides(7, corrupt=False, key=False)


def test_a_stream_without_key_frames_is_not_hidden_for_ever() -> None:
    damage = Damage()
    hidden = [
        damage.hides(number * STEP_NS, corrupt=number == 1, key=False) for number in range(250)
    ]
    assert 40 <= sum(hidden) <= 51
    assert not any(hidden[60:])
