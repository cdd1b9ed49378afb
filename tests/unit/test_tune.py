"""Threads and cores are chosen by measurement, and only where the gain is clear."""

import numpy as np
import pytest
from fakes.sysfs import FakeSystem

from edge_detect.tools.tune import choose, order_of_cores


def rounds(*medians, spread=0.0, drift=0.0):
    """Times of candidates round by round; drift slows all of them down."""
    chance = np.random.default_rng(1)
    slower = 1 + drift * np.arange(15) / 15
    return [median * slower * (1 + spread * chance.standard_normal(15)) for median in medians]


@pytest.mark.parametrize(
    ("medians", "best"),
    [
        ((8.0, 4.4, 3.2, 2.8), 3),
        ((8.0, 4.4, 3.2, 3.15), 2),
        ((8.0, 4.4, 4.5, 6.0), 1),
        ((2.0, 2.1, 2.5, 3.0), 0),
        ((2.0, 1.95, 1.92, 1.91), 0),
        ((5.0,), 0),
    ],
)
def test_more_threads_are_taken_as_long_as_each_gains_something(medians, best):
    assert choose(rounds(*medians)) == best


def test_a_gain_that_is_lost_in_noise_is_none():
    assert choose(rounds(4.0, 3.7, spread=0.15)) == 0
    assert choose(rounds(4.0, 3.7, spread=0.005)) == 1


def test_a_board_that_grows_hot_is_so_for_all_candidates():
    assert choose(rounds(8.0, 4.4, drift=0.6)) == 1
    assert choose(rounds(4.0, 4.0, drift=0.6)) == 0


def test_one_disturbed_round_decides_nothing():
    first, second = rounds(4.0, 4.1, spread=0.01)
    first[7] *= 9
    assert choose([first, second]) == 0


def test_fast_cores_come_first(tmp_path):
    system = FakeSystem(tmp_path)
    for core in range(8):
        system.write(f"cpu{core}/cpu_capacity", "414" if core < 4 else "1024")
    assert order_of_cores(range(8), tmp_path)[:4] == [7, 6, 5, 4]


def test_where_capacity_is_not_told_the_clock_tells(tmp_path):
    system = FakeSystem(tmp_path)
    for core, khz in enumerate([2_400_000, 2_400_000, 1_800_000]):
        system.write(f"cpu{core}/cpufreq/cpuinfo_max_freq", str(khz))
    assert order_of_cores(range(3), tmp_path) == [1, 0, 2]


def test_second_threads_of_a_core_come_last(tmp_path):
    system = FakeSystem(tmp_path)
    for core in range(4):
        system.write(f"cpu{core}/topology/thread_siblings_list", f"{core % 2},{core % 2 + 2}")
    assert order_of_cores(range(4), tmp_path) == [1, 0, 3, 2]


def test_cores_of_which_nothing_is_told_are_taken_from_the_end(tmp_path):
    assert order_of_cores([0, 2, 5], tmp_path) == [5, 2, 0]
