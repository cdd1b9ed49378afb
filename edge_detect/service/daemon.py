"""The daemon: cameras and companions from a file, watched, reloaded and stopped by signals."""

import logging
import signal
from collections.abc import Collection
from pathlib import Path

from edge_detect.board import BoardMonitor
from edge_detect.core import NS_PER_S, ConfigError, monotonic_ns
from edge_detect.core.board import BoardReading
from edge_detect.pipeline.tuning import tuned_process
from edge_detect.service.camera import Camera
from edge_detect.service.companions import Companions
from edge_detect.service.config.changes import find_changes
from edge_detect.service.config.load import load_settings
from edge_detect.service.config.settings import DetectorSettings, LoggingSettings, Settings
from edge_detect.service.detectors import Detectors
from edge_detect.service.logs import configure_logging
from edge_detect.service.notifier import Notifier
from edge_detect.service.paths import state_directory
from edge_detect.service.signals import Signals
from edge_detect.service.status import status_line
from edge_detect.service.trim import trim_memory
from edge_detect.service.watchdog import Watchdog

__all__ = ["Daemon"]

_log = logging.getLogger(__name__)

# The most urgent first.
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_TICK_S = 1.0
_STOP_S = 3.0


class Daemon:
    """Runs what a configuration file says, until SIGTERM or SIGINT; SIGHUP has it read anew.

    Args:
        path: The file.
        notifier: Tells systemd.

    Attributes:
        started_ns: CLOCK_MONOTONIC time of its start.
        reloads: How often the configuration was applied anew.
        ready: Whether every camera has shown a frame, or is known to be away.
        state_directory: Where files belong that outlive the process.
    """

    def __init__(self, path: Path, notifier: Notifier | None = None) -> None:
        self._path = path
        self._notifier = notifier or Notifier()
        # Loading may have something to say, too.
        self._logs = configure_logging(LoggingSettings())
        try:
            self._settings = load_settings(path)
        except BaseException:
            self._logs.close()
            raise
        self._detectors = Detectors()
        self._cameras: dict[str, Camera] = {}
        # Of earlier configurations, and still at work: only a restart may mend that.
        self._left: list[Camera] = []
        self._companions = Companions(self)
        self._watchdog = Watchdog(self._settings.watchdog.stuck_s)
        self._board = BoardMonitor()
        self._troubles: list[str] = []
        self._not_applied = ""
        self.started_ns = monotonic_ns()
        self.reloads = 0
        self.ready = False
        self.state_directory = state_directory()

    @property
    def settings(self) -> Settings:
        """The configuration in force."""
        return self._settings

    @property
    def cameras(self) -> list[Camera]:
        """All cameras, in the order of the file; a copy."""
        cameras = dict(self._cameras)
        return [cameras[name] for name in self._settings.cameras if name in cameras]

    def board(self) -> BoardReading:
        """The newest reading of the computer."""
        return self._board.latest

    def troubles(self) -> list[str]:
        """What keeps the watchdog from being told that all is well; mostly empty."""
        return list(self._troubles)

    def run(self) -> None:
        """Work until a signal ends it, or all sources have come to their end.

        Raises:
            EdgeDetectError: It cannot begin.
        """
        self._logs = configure_logging(self._settings.logging)
        try:
            with tuned_process(), Signals(_SIGNALS) as signals:
                self._start()
                try:
                    self._loop(signals)
                finally:
                    self._stop()
        finally:
            self._logs.close()

    def _start(self) -> None:
        _log.info("starting with %s", self._path)
        self._board.start()
        self._companions.start(self._settings)
        for name in self._settings.cameras:
            self._start_camera(name, self._settings)

    def _loop(self, signals: Signals) -> None:
        interval_s = min(_TICK_S, self._notifier.watchdog_s / 4 or _TICK_S)
        while True:
            arrived = signals.wait(interval_s)
            if arrived == signal.SIGHUP:
                self._reload()
            elif arrived is not None:
                _log.info("stopping: %s", signal.Signals(arrived).name)
                return
            self._look()
            if all(camera.state().phase == "stopped" for camera in self._cameras.values()):
                _log.info("stopping: all sources have ended")
                return

    def _look(self) -> None:
        """See how everything is doing, and tell systemd."""
        self._left = [camera for camera in self._left if camera.running or camera.stuck]
        troubles = (
            self._watchdog.troubles([*self.cameras, *self._left]) + self._companions.troubles()
        )
        troubles += filter(None, (self._logs.trouble(), self._board.trouble()))
        for trouble in troubles:
            if trouble.rstrip("0123456789 s") not in {
                known.rstrip("0123456789 s") for known in self._troubles
            }:
                _log.error("no progress: %s", trouble)
        self._troubles = troubles
        status = self._status()
        if not self.ready and all(_is_known(camera) for camera in self._cameras.values()):
            self.ready = True
            trim_memory()
            self._notifier.ready(status)
            _log.info("ready: %s", status)
        else:
            self._notifier.status(status)
        if not troubles:
            self._notifier.alive()

    def _status(self) -> str:
        remarks = [self._not_applied] if self._not_applied else []
        remarks += self._companions.remarks()
        return status_line(self.cameras, self.board(), self._troubles, remarks)

    def _reload(self) -> None:
        """Apply the file anew; an invalid one changes nothing."""
        if self.ready:
            self._notifier.reloading()
        old = self._settings
        try:
            new = load_settings(self._path)
        except ConfigError as error:
            self._not_applied = f"{self._path} is wrong and was not applied"
            _log.error("%s:\n%s", self._not_applied, error)
        else:
            self._not_applied = ""
            self._apply(old, new)
            self.reloads += 1
            _log.info("configuration applied anew: %s", self._path)
        if self.ready:
            self._notifier.ready(self._status())

    def _apply(self, old: Settings, new: Settings) -> None:
        changes = find_changes(old, new)
        self._watchdog = Watchdog(new.watchdog.stuck_s)
        if "logging" in changes.sections:
            self._logs = configure_logging(new.logging)
        kept = {name: self._cameras[name] for name in changes.unchanged}
        going = [camera for name, camera in self._cameras.items() if name not in kept]
        for camera in going:
            self._companions.remove(camera)
        _stop_all(going)
        self._left += going
        self._cameras = kept
        self._settings = new
        self._companions.apply(new, changes.sections, list(kept.values()))
        for name in new.cameras:
            if name not in kept:
                self._start_camera(name, new)

    def _start_camera(self, name: str, settings: Settings) -> None:
        camera = Camera(name, settings.cameras[name], _detector_of(settings, name), self._detectors)
        self._cameras = {**self._cameras, name: camera}
        self._companions.add(camera)
        camera.start()

    def _stop(self) -> None:
        self._notifier.stopping()
        _stop_all(self._cameras.values())
        self._companions.stop()
        self._board.stop()


def _stop_all(cameras: Collection[Camera]) -> None:
    """Stop cameras, all at the same time."""
    for camera in cameras:
        camera.stop()
    deadline_ns = monotonic_ns() + round(_STOP_S * NS_PER_S)
    for camera in cameras:
        if not camera.join(max(0.0, (deadline_ns - monotonic_ns()) / NS_PER_S)):
            _log.error("%s did not stop", camera.name, extra={"camera": camera.name})


def _detector_of(settings: Settings, name: str) -> DetectorSettings:
    camera = settings.cameras[name]
    if camera.detector:
        return settings.detectors[camera.detector]
    return DetectorSettings(model=camera.model)


def _is_known(camera: Camera) -> bool:
    """Whether a camera has shown a frame, or is known to be away."""
    state, totals = camera.state(), camera.totals()
    if state.phase in ("failed", "stopped"):
        return True
    if state.status is None or totals is None:
        return False
    if state.status.source.reason:
        return True
    stage = "detected" if state.enabled else "captured"
    return totals.frames.get(stage, 0) > 0
