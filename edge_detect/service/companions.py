"""What runs beside the cameras, as the configuration wants it."""

import logging
from collections.abc import Collection, Sequence
from importlib import import_module
from typing import cast

from edge_detect.core import DependencyError, EdgeDetectError
from edge_detect.service.camera import Camera
from edge_detect.service.companion import Companion, ServiceView
from edge_detect.service.config.settings import Section, Settings

__all__ = ["COMPANIONS", "Companions"]

_log = logging.getLogger(__name__)

# Section of the file → module and class; imported only where the section is there.
COMPANIONS = {
    "logging": ("edge_detect.service.logs", "FigureLog"),
    "history": ("edge_detect.service.history.companion", "HistoryCompanion"),
    "thermal": ("edge_detect.service.thermal", "ThermalCompanion"),
    "metrics": ("edge_detect.service.metrics.companion", "MetricsCompanion"),
    "mqtt": ("edge_detect.service.mqtt.companion", "MqttCompanion"),
    "web": ("edge_detect.service.web.companion", "WebCompanion"),
}


class Companions:
    """Starts and stops them, and keeps them told which cameras there are.

    Args:
        service: What they see.
    """

    def __init__(self, service: ServiceView) -> None:
        self._service = service
        self._running: dict[str, Companion] = {}
        self._off: dict[str, str] = {}

    def start(self, settings: Settings) -> None:
        """Start all that the configuration wants.

        Raises:
            DependencyError: A package is missing.
            EdgeDetectError: One cannot start; the others are stopped then.
        """
        try:
            for name in COMPANIONS:
                self._start(name, settings)
        except BaseException:
            self.stop()
            raise

    def apply(self, new: Settings, changed: Collection[str], cameras: Sequence[Camera]) -> None:
        """Start those anew whose settings have changed; one that cannot start stays off.

        Args:
            new: The settings from now on.
            changed: Names of the sections that differ from those so far.
            cameras: All that run at the moment.
        """
        for name in COMPANIONS:
            if name not in changed:
                continue
            self._off.pop(name, None)
            if name in self._running:
                self._running.pop(name).stop()
            try:
                self._start(name, new)
            except EdgeDetectError as error:
                self._off[name] = error.said_of(f"[{name}]")
                _log.error("%s; it stays off", self._off[name])
                continue
            if name in self._running:
                for camera in cameras:
                    self._running[name].add_camera(camera)

    def add(self, camera: Camera) -> None:
        """Tell all of a camera that is new."""
        for companion in self._running.values():
            companion.add_camera(camera)

    def remove(self, camera: Camera) -> None:
        """Tell all of a camera that goes."""
        for companion in self._running.values():
            companion.remove_camera(camera)

    def troubles(self) -> list[str]:
        """What has gone wrong for good inside of any, each with its section's name."""
        return [
            f"{name}: {trouble}"
            for name, companion in self._running.items()
            if (trouble := companion.trouble())
        ]

    def remarks(self) -> list[str]:
        """What whoever asks for the status should know: also why some could not start."""
        remarks = [companion.remark() for companion in self._running.values()]
        return [*self._off.values(), *filter(None, remarks)]

    def stop(self) -> None:
        """Stop all, the last started first."""
        while self._running:
            _, companion = self._running.popitem()
            companion.stop()

    def _start(self, name: str, settings: Settings) -> None:
        section: Section | None = getattr(settings, name)
        if section is None or not getattr(section, "enabled", True):
            return
        module, cls = COMPANIONS[name]
        try:
            companion = cast("Companion", getattr(import_module(module), cls)(section))
            companion.start(self._service)
        except ModuleNotFoundError as error:
            raise DependencyError(
                f"[{name}] needs the package {error.name!r}, which is not installed",
                "pip install 'edge-detect[service]', or leave the section out",
            ) from error
        self._running[name] = companion
