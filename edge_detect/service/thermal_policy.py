"""How much may be detected at the temperature that the board has: the rule, without any clock.

A board behaves much like a body that is heated and cools by itself: after a change of load its
temperature creeps to a new value over tens of seconds to many minutes, however that is built.
Three things follow.

* Down: the trend says where the temperature will be in a few seconds, so that the rate is
  lowered before the limit and not after it.
* Up: only once the trend, followed much longer, stays below the limit by the hysteresis; and
  by no more than what even a badly cooled board will take without coming to the limit again.
* A step up that failed after all makes the next one wait twice as long.
* A share at which the board was too hot is approached by halves: a board that is just too hot at
  full load would otherwise alternate between that and much less.
"""

import math
from collections import deque
from typing import NamedTuple

__all__ = ["Heat", "ThermalPolicy", "Verdict"]

# Downwards: far enough ahead for the rate to be lowered twice, near enough for noise to be small.
_AHEAD_S = 15.0
_DOWN_EVERY_S = 6.0
# A chip that begins to work jumps by some degrees, and then creeps: while the limit is further
# away than this part of the time, the first step down is no larger than the usual one.
_SOON = 0.6
# Just at the limit without a trend, the last step is given the time to show.
_DOWN_AT_LIMIT_EVERY_S = 30.0
_OVER_LIMIT_C = 0.8
# A step down: small where the temperature creeps, large where it runs.
_LEAST_STEP, _MOST_STEP, _STEP_PER_C = 0.85, 0.45, 0.05
_FIRM_STEP = 0.75
# While the firmware acts by itself, a step is given the time to show there as well.
_FLAG_EVERY_S = 12.0
# Upwards: what creeps in ten minutes is the end of the creeping for all but huge heat sinks.
_FAR_AHEAD_S = 600.0
_PATIENCE_S = 90.0
_MOST_PATIENCE_S = 3600.0
# A step up that is followed by one down within this time has failed.
_FAILED_WITHIN_S = 2400.0
# No board in a case heats up by more than this between idle and full load.
_MOST_RISE_C = 60.0
# How long a temperature at which the firmware acted by itself counts as the limit.
_REMEMBER_S = 1800.0
# The firmware of some boards begins at 60 degrees to slow down by a little: no reason to all
# but stop. At the real limit this does not count.
_SOFT_LEAST_SHARE = 0.5
_WINDOW_S = 120.0
_RECENT_S = 20.0
_LEAST_SAMPLES = 3
# Sensors tell steps of half a degree.
_NOISE_C = 0.4
_NEARLY_ALL = 0.98


class Heat(NamedTuple):
    """What is known of a board at one moment.

    Attributes:
        temperature_c: Of the SoC.
        throttled: Whether the firmware slows the board down because of heat.
        soft_limit: Whether it has begun to slow it down a little.
    """

    temperature_c: float
    throttled: bool = False
    soft_limit: bool = False


class Verdict(NamedTuple):
    """What is allowed.

    Attributes:
        share: Of the rate without limit, above 0 to 1.
        reason: Why it changed last, for people; empty while nothing is limited.
    """

    share: float
    reason: str


class _Step(NamedTuple):
    """A step down: by which factor, why, and the share at which it ends."""

    factor: float
    reason: str
    least_share: float = 0.0


class _Trend(NamedTuple):
    """Where the temperature is and goes: degrees, degrees a second, and how sure that is."""

    now_c: float
    slope: float
    error: float


class ThermalPolicy:
    """Decides from one temperature after the other.

    Args:
        limit_c: What is not to be exceeded, degrees Celsius.
        hysteresis_c: How far below it the board has to come before more is allowed.
    """

    def __init__(self, limit_c: float, hysteresis_c: float) -> None:
        self._limit_c = limit_c
        self._hysteresis_c = hysteresis_c
        self._share = 1.0
        self._reason = ""
        self._samples: deque[tuple[float, float]] = deque()
        self._changed_s = float("-inf")
        self._raised_s = self._lowered_s = float("-inf")
        self._patience_s = _PATIENCE_S
        # The share at which the board was too hot last.
        self._hot_share: float | None = None
        self._firmware_c: float | None = None
        self._flagged_s = float("-inf")

    def update(self, now_s: float, heat: Heat, least_share: float = 0.0) -> Verdict:
        """Take a new reading into account.

        Args:
            now_s: Its time in seconds; later than that of the one before.
            heat: The reading.
            least_share: Below which nothing is to be had.

        Returns:
            What is allowed from now on.
        """
        self._samples.append((now_s, heat.temperature_c))
        while now_s - self._samples[0][0] > _WINDOW_S:
            self._samples.popleft()
        self._remember(now_s, heat)
        step = self._step_down(now_s, heat)
        if step is not None:
            self._lower(now_s, step, least_share)
        elif self._share < 1.0:
            self._raise(now_s, heat)
        return Verdict(self._share, self._reason)

    def _remember(self, now_s: float, heat: Heat) -> None:
        """Learn at which temperature this board's firmware acts, and forget it in time."""
        if heat.throttled or heat.soft_limit:
            known_c = self._firmware_c if self._firmware_c is not None else heat.temperature_c
            self._firmware_c, self._flagged_s = min(known_c, heat.temperature_c), now_s
        elif now_s - self._flagged_s > _REMEMBER_S:
            self._firmware_c = None

    def _step_down(self, now_s: float, heat: Heat) -> _Step | None:
        """Why less should be detected, and how much less; None if it need not be."""
        waited_s = now_s - self._changed_s
        trend = self._trend(now_s, _RECENT_S)
        rise_c = max(0.0, trend.slope - 2 * trend.error) * _AHEAD_S
        falling = trend.slope + 2 * trend.error < 0
        factor = max(_MOST_STEP, _LEAST_STEP - _STEP_PER_C * rise_c)
        if waited_s >= _DOWN_EVERY_S:
            if trend.now_c >= self._limit_c + _OVER_LIMIT_C and not falling:
                return _Step(min(factor, _FIRM_STEP), f"above the limit of {self._limit_c:g} °C")
            if rise_c > 0 and trend.now_c + rise_c >= self._limit_c:
                if trend.now_c + _SOON * rise_c < self._limit_c:
                    factor = max(factor, _FIRM_STEP)
                return _Step(factor, f"the limit of {self._limit_c:g} °C is near")
        if waited_s >= _DOWN_AT_LIMIT_EVERY_S and trend.now_c >= self._limit_c and not falling:
            return _Step(_LEAST_STEP, f"at the limit of {self._limit_c:g} °C")
        if waited_s >= _FLAG_EVERY_S and heat.throttled:
            return _Step(_FIRM_STEP, "the firmware throttles")
        if waited_s >= _FLAG_EVERY_S and heat.soft_limit:
            return _Step(_FIRM_STEP, "the firmware's soft temperature limit", _SOFT_LEAST_SHARE)
        return None

    def _lower(self, now_s: float, step: _Step, least_share: float) -> None:
        share = max(least_share, step.least_share, self._share * step.factor)
        if share >= self._share:
            return
        if now_s - self._raised_s < _FAILED_WITHIN_S:
            self._patience_s = min(2 * self._patience_s, _MOST_PATIENCE_S)
        self._hot_share = self._share
        self._raised_s, self._lowered_s = float("-inf"), now_s
        self._change(now_s, share, step.reason)

    def _raise(self, now_s: float, heat: Heat) -> None:
        if now_s - self._changed_s < self._patience_s or heat.throttled or heat.soft_limit:
            return
        trend = self._trend(now_s, _WINDOW_S)
        firmware_c = self._limit_c if self._firmware_c is None else self._firmware_c
        limit_c = min(self._limit_c, firmware_c)
        # A falling temperature may turn at any moment: what it has now is what counts.
        settled_c = trend.now_c + max(0.0, trend.slope) * _FAR_AHEAD_S
        if settled_c >= limit_c - self._hysteresis_c:
            return
        if now_s - self._lowered_s > max(_FAILED_WITHIN_S, 2 * self._patience_s):
            self._patience_s, self._hot_share = _PATIENCE_S, None
        self._raised_s = now_s
        room_c = limit_c - self._hysteresis_c / 5 - settled_c
        share = self._share + room_c / _MOST_RISE_C
        if self._hot_share is not None:
            share = min(share, (self._share + self._hot_share) / 2)
        if share >= _NEARLY_ALL:
            self._change(now_s, 1.0, "")
        else:
            self._change(now_s, share, "cooler, though not cool enough for more")

    def _change(self, now_s: float, share: float, reason: str) -> None:
        self._share, self._reason, self._changed_s = share, reason, now_s
        # Readings from before tell a trend that has just been changed.
        newest = self._samples[-1]
        self._samples.clear()
        self._samples.append(newest)

    def _trend(self, now_s: float, window_s: float) -> _Trend:
        """A straight line through the newest readings, by least squares; flat while few."""
        newest = [(at_s, value) for at_s, value in self._samples if now_s - at_s <= window_s]
        spread = 0.0
        if len(newest) >= _LEAST_SAMPLES:
            mean_s = sum(at_s for at_s, _ in newest) / len(newest)
            mean_c = sum(value for _, value in newest) / len(newest)
            spread = sum((at_s - mean_s) ** 2 for at_s, _ in newest)
        if spread == 0:
            return _Trend(newest[-1][1], 0.0, 0.0)
        slope = sum((at_s - mean_s) * (value - mean_c) for at_s, value in newest) / spread
        return _Trend(mean_c + slope * (now_s - mean_s), slope, _NOISE_C / math.sqrt(spread))
