"""Detects less often before the board gets too hot, and as often as it can afterwards."""

import logging
from dataclasses import dataclass
from threading import Event, Lock, Thread
from typing import NamedTuple

from edge_detect.core import NS_PER_S, monotonic_ns
from edge_detect.core.board import BoardReading
from edge_detect.service.companion import CameraView, Companion, ServiceView
from edge_detect.service.config.settings import ThermalSettings
from edge_detect.service.thermal_policy import Heat, ThermalPolicy

__all__ = ["ThermalCompanion", "ThermalState"]

_log = logging.getLogger(__name__)
_INTERVAL_S = 2.0
_STOP_S = 0.8
# The rate without limit is the highest of late: a camera that was just away has a low one.
_RATE_FADES = 0.99
_LEAST_RATE = 0.05
# Rates are counted over four seconds: a camera that has just begun is measured for longer.
_LEAST_LOOKS = 4


@dataclass(slots=True, frozen=True)
class ThermalState:
    """How much is allowed at the moment.

    Attributes:
        share: Of the rate of detections without limit, above 0 to 1; 1: nothing is limited.
        since_ns: CLOCK_MONOTONIC time since when.
        reason: Why; empty while nothing is limited.
    """

    share: float
    since_ns: int
    reason: str = ""


class _Rate(NamedTuple):
    """Of one camera.

    Attributes:
        free_fps: Detections per second without limit.
        looks: How often that was measured.
        allowed_fps: What it is limited to; None: not at all.
    """

    free_fps: float = 0.0
    looks: int = 0
    allowed_fps: float | None = None


class ThermalCompanion(Companion):
    """Follows the temperature of the SoC, and limits the rates of all cameras alike.

    Without a sensor it does nothing.

    Args:
        settings: The limit, and how far cameras may be slowed down.
        interval_s: Seconds between two looks at the temperature.
    """

    def __init__(self, settings: ThermalSettings, interval_s: float = _INTERVAL_S) -> None:
        self._settings = settings
        self._interval_s = interval_s
        self._policy = ThermalPolicy(settings.limit_c, settings.hysteresis_c)
        self._state = ThermalState(1.0, monotonic_ns())
        self._lock = Lock()
        self._cameras: dict[str, CameraView] = {}
        # Of the thread alone: a camera may take its time, which nobody is to wait for.
        self._rates: dict[str, tuple[CameraView, _Rate]] = {}
        self._seen_ns = 0
        self._without_sensor = False
        self._defect = ""
        self._stopped = Event()
        self._thread: Thread | None = None

    @property
    def state(self) -> ThermalState:
        """How much is allowed at the moment; from any thread."""
        return self._state

    def start(self, service: ServiceView) -> None:
        """Begin to follow the temperature, unless the settings say not to."""
        if self._settings.enabled:
            self._thread = Thread(
                target=self._run, args=(service,), name="edge-thermal", daemon=True
            )
            self._thread.start()

    def add_camera(self, camera: CameraView) -> None:
        """Limit this one as well; at first when its rate is known."""
        with self._lock:
            self._cameras[camera.name] = camera

    def remove_camera(self, camera: CameraView) -> None:
        """Leave it alone from now on."""
        with self._lock:
            self._cameras.pop(camera.name, None)

    def stop(self) -> None:
        """Give all cameras their own rates back, and end."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join(_STOP_S)
            if self._thread.is_alive():
                return
        self._take_cameras()
        for camera, rate in self._rates.values():
            if rate.allowed_fps is not None:
                camera.set_max_fps(None)
        self._rates.clear()

    def remark(self) -> str:
        """That and why detections are fewer than they could be."""
        state = self._state
        return f"detecting at {100 * state.share:.0f} % ({state.reason})" if state.reason else ""

    def trouble(self) -> str:
        """What has gone wrong for good; empty if nothing."""
        ended = self._thread is not None and not self._thread.is_alive()
        if self._defect or not ended or self._stopped.is_set():
            return self._defect
        return "the thread that follows the temperature ended"

    def _run(self, service: ServiceView) -> None:
        try:
            while not self._stopped.wait(self._interval_s):
                self._look(service.board())
        except Exception as error:  # noqa: BLE001 - nobody waits for this thread; `trouble` tells
            self._defect = f"the thermal policy failed: {type(error).__name__}: {error}"
            _log.exception("the thermal policy failed")

    def _look(self, reading: BoardReading) -> None:
        """Take one reading into account; the same one counts once."""
        if reading.read_ns == self._seen_ns:
            return
        self._seen_ns = reading.read_ns
        heat = _heat_of(reading)
        if heat is None:
            if not self._without_sensor:
                _log.debug("no sensor tells the temperature: rates are not limited by heat")
            self._without_sensor = True
            return
        self._without_sensor = False
        self._take_cameras()
        self._measure()
        before = self._state
        share, reason = self._policy.update(reading.read_ns / NS_PER_S, heat, self._least_share())
        if share != before.share:
            self._state = ThermalState(share, reading.read_ns, reason)
        rates = self._limit(share)
        if share != before.share:
            _say(heat, before.share, self._state, rates)

    def _take_cameras(self) -> None:
        """Keep what is known of the cameras that are still there, and begin with new ones."""
        with self._lock:
            cameras = dict(self._cameras)
        known = self._rates
        self._rates = {
            name: known[name] if name in known and known[name][0] is camera else (camera, _Rate())
            for name, camera in cameras.items()
        }

    def _measure(self) -> None:
        """Note the rates of cameras that are not limited."""
        for name, (camera, rate) in self._rates.items():
            if rate.allowed_fps is None:
                status = camera.state().status
                fps = 0.0 if status is None else status.rates.get("detected", 0.0)
                free_fps = max(fps, rate.free_fps * _RATE_FADES)
                looks = rate.looks + (fps > _LEAST_RATE)
                self._rates[name] = camera, _Rate(free_fps, looks)

    def _least_share(self) -> float:
        """The share at which even the fastest camera is as slow as it may become."""
        fastest = max((rate.free_fps for _, rate in self._rates.values()), default=0.0)
        return min(1.0, self._settings.min_fps / fastest) if fastest > _LEAST_RATE else 1.0

    def _limit(self, share: float) -> list[str]:
        """Bring all cameras to a share of their rates; what was done, for people."""
        done = []
        for name, (camera, rate) in self._rates.items():
            allowed: float | None = None
            if share < 1.0 and rate.looks >= _LEAST_LOOKS:
                allowed = round(max(self._settings.min_fps, rate.free_fps * share), 2)
            if allowed != rate.allowed_fps:
                camera.set_max_fps(allowed)
                self._rates[name] = camera, rate._replace(allowed_fps=allowed)
                old, new = rate.allowed_fps or rate.free_fps, allowed or rate.free_fps
                done.append(f"{name} {old:.1f} → {new:.1f}")
        return done


def _heat_of(reading: BoardReading) -> Heat | None:
    if reading.temperature_c is None:
        return None
    flags = reading.throttling
    if flags is None:
        return Heat(reading.temperature_c)
    # A weak power supply throttles as well; that is no heat, and said elsewhere.
    throttled = flags.throttled and not flags.under_voltage
    return Heat(reading.temperature_c, throttled, flags.soft_temperature_limit)


def _say(heat: Heat, old_share: float, state: ThermalState, rates: list[str]) -> None:
    """Log one step."""
    level = logging.WARNING if state.share < old_share else logging.INFO
    _log.log(
        level,
        "%.1f °C, %s: detecting at %.0f %% of the full rate, before %.0f %% (fps: %s)",
        heat.temperature_c,
        state.reason or "cool again",
        100 * state.share,
        100 * old_share,
        ", ".join(rates) or "no camera is affected",
    )
