"""The thermal policy on simulated boards: never too hot, never flapping, never slow for nothing."""

import math
import random
from dataclasses import dataclass, field

from hypothesis import example, given, settings
from hypothesis import strategies as st

from edge_detect.service.thermal_policy import Heat, ThermalPolicy

LIMIT_C = 78.0
READ_EVERY_S = 2.0
HOUR_S = 3600.0
SENSOR_STEP_C = 0.487  # of a Raspberry Pi


@dataclass
class Board:
    """A body that is heated: it creeps to `idle_c + rise_c * share` with one time constant.

    Attributes:
        tau_s: Time constant; 30 s is a bare chip, 600 s a heavy case.
        rise_c: Between idle and full load.
        idle_c: Temperature without load.
        share: The load.
    """

    tau_s: float
    rise_c: float
    idle_c: float
    share: float = 1.0
    temperature_c: float = field(init=False)

    def __post_init__(self) -> None:
        self.temperature_c = self.idle_c

    def advance(self, seconds: float) -> None:
        target_c = self.idle_c + self.rise_c * self.share
        self.temperature_c += (target_c - self.temperature_c) * -math.expm1(-seconds / self.tau_s)


@dataclass
class Run:
    """What happened: the highest temperature, and every change of the share with its time."""

    highest_c: float = 0.0
    changes: list[tuple[float, float]] = field(default_factory=list)

    def changes_after(self, seconds: float) -> int:
        return sum(at_s > seconds for at_s, _ in self.changes)


def run(
    board: Board, policy: ThermalPolicy, seconds: float, seed: int = 0, start_s: float = 0.0
) -> Run:
    """Let a board and the policy act upon each other, with a sensor as it really is."""
    noise = random.Random(seed)
    seen = Run()
    for step in range(round(seconds / READ_EVERY_S)):
        now_s = start_s + step * READ_EVERY_S
        board.advance(READ_EVERY_S)
        seen.highest_c = max(seen.highest_c, board.temperature_c)
        noisy_c = board.temperature_c + noise.gauss(0, 0.25)
        told_c = round(noisy_c / SENSOR_STEP_C) * SENSOR_STEP_C
        share = policy.update(now_s, Heat(told_c), least_share=0.05).share
        if share != board.share:
            seen.changes.append((now_s, share))
            board.share = share
    return seen


boards = st.builds(
    Board,
    tau_s=st.floats(math.log(30), math.log(900)).map(math.exp),
    rise_c=st.floats(5, 60),
    idle_c=st.floats(20, 62),
)


@given(board=boards, hysteresis_c=st.sampled_from([4.0, 5.0, 8.0]), seed=st.integers(0, 99))
@settings(max_examples=3000, deadline=None)
@example(board=Board(30, 60, 60), hysteresis_c=5.0, seed=0)
@example(board=Board(900, 60, 60), hysteresis_c=5.0, seed=0)
# Full load leads it to 0.3 degrees below the limit.
@example(board=Board(33.1, 57.6875, 20), hysteresis_c=4.0, seed=0)
def test_a_board_stays_at_its_limit_and_settles_without_flapping_or_waste(
    board, hysteresis_c, seed
) -> None:
    seen = run(board, ThermalPolicy(LIMIT_C, hysteresis_c), 4 * HOUR_S, seed)
    assert seen.highest_c < LIMIT_C + 2
    assert seen.changes_after(3 * HOUR_S) <= 3
    # What is left of the room below the limit is the hysteresis, and the sensor's step.
    assert board.share == 1.0 or board.temperature_c > LIMIT_C - hysteresis_c - 1.5


@given(board=boards, seed=st.integers(0, 99))
@settings(max_examples=3000, deadline=None)
def test_a_board_that_never_comes_near_the_limit_is_never_slowed_down(board, seed) -> None:
    board.idle_c = board.temperature_c = min(board.idle_c, LIMIT_C - board.rise_c - 4)
    # A bare chip that runs towards 74 degrees cannot be told from one that runs to 90.
    board.tau_s = max(board.tau_s, 120.0)
    assert run(board, ThermalPolicy(LIMIT_C, 5), HOUR_S, seed).changes == []


class ChipInCase(Board):
    """A chip that jumps by eight degrees as soon as it works, in a case that follows slowly."""

    jump_c = 0.0

    def advance(self, seconds: float) -> None:
        self.temperature_c -= self.jump_c
        super().advance(seconds)
        self.jump_c += (8 * self.share - self.jump_c) * -math.expm1(-seconds / 8)
        self.temperature_c += self.jump_c


def test_the_jump_of_a_chip_that_begins_to_work_is_not_taken_for_a_trend() -> None:
    board = ChipInCase(tau_s=300, rise_c=12, idle_c=55)
    seen = run(board, ThermalPolicy(LIMIT_C, 5), HOUR_S)
    assert seen.changes == []
    assert seen.highest_c > 74


def test_everything_is_allowed_again_after_a_hot_day() -> None:
    board, policy = Board(120, 40, 55), ThermalPolicy(LIMIT_C, 5)
    run(board, policy, 2 * HOUR_S)
    assert board.share < 0.8
    board.idle_c = 25
    seen = run(board, policy, HOUR_S, start_s=2 * HOUR_S)
    assert board.share == 1.0
    # Up again in few steps, each of which held.
    shares = [share for _, share in seen.changes]
    assert shares == sorted(shares)


def test_a_day_that_grows_hot_is_followed_without_passing_the_limit() -> None:
    board, policy = Board(200, 45, 30), ThermalPolicy(LIMIT_C, 5)
    highest, changes = 0.0, 0
    for minute in range(8 * 60):
        board.idle_c = 30 + 30 * minute / (8 * 60)
        seen = run(board, policy, 60, minute, start_s=60.0 * minute)
        highest, changes = max(highest, seen.highest_c), changes + len(seen.changes)
    assert highest < LIMIT_C + 1
    assert changes < 25


def test_a_board_that_is_too_hot_by_itself_is_left_the_least_share() -> None:
    board, policy = Board(60, 10, 85), ThermalPolicy(LIMIT_C, 5)
    seen = run(board, policy, HOUR_S)
    assert board.share == 0.05
    assert seen.changes_after(HOUR_S / 2) == 0


def feed(policy: ThermalPolicy, heat: Heat, seconds: float, start_s: float = 0.0) -> list[float]:
    """The shares that the same reading leads to, without repetitions."""
    shares: list[float] = []
    for step in range(round(seconds / READ_EVERY_S)):
        share = policy.update(start_s + step * READ_EVERY_S, heat).share
        if not shares or share != shares[-1]:
            shares.append(share)
    return shares


def test_throttling_by_the_firmware_lowers_the_rate_far_below_the_limit() -> None:
    policy = ThermalPolicy(LIMIT_C, 5)
    verdict = policy.update(0.0, Heat(65, throttled=True))
    assert (verdict.share, verdict.reason) == (0.75, "the firmware throttles")
    assert feed(policy, Heat(65, throttled=True), 60, 2.0)[-1] < 0.3


def test_the_soft_limit_alone_costs_no_more_than_half_of_the_rate() -> None:
    policy = ThermalPolicy(LIMIT_C, 5)
    assert feed(policy, Heat(61, soft_limit=True), 600)[-1] == 0.5
    assert feed(policy, Heat(79, soft_limit=True), 60, 600)[-1] < 0.5


def test_the_temperature_at_which_the_firmware_acted_is_respected_for_half_an_hour() -> None:
    policy = ThermalPolicy(LIMIT_C, 5)
    feed(policy, Heat(62, soft_limit=True), 60)
    assert feed(policy, Heat(60), 1500, 60)[-1] == 0.5
    assert feed(policy, Heat(60), 2000, 1560)[-1] == 1.0


def test_one_odd_reading_changes_nothing() -> None:
    policy = ThermalPolicy(LIMIT_C, 5)
    feed(policy, Heat(60), 60)
    policy.update(60.0, Heat(77))
    assert feed(policy, Heat(60), 60, 62.0) == [1.0]
