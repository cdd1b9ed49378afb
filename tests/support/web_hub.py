"""A page for several cameras, each a small pipeline with moving shapes."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx

from edge_detect.core import PipelineStatus
from edge_detect.core.backoff import Backoff
from edge_detect.service.companion import CameraState
from edge_detect.service.config.settings import WebSettings
from edge_detect.service.web.companion import WebCompanion
from edge_detect.sinks import Sink
from edge_detect.sinks.web.timeouts import Timeouts
from support.ports import free_port
from support.service_views import PlainCamera, PlainService
from support.waiting import PROMPT_S
from support.web_clients import PATIENT, Camera


@dataclass
class MovingCamera(PlainCamera):
    """A camera whose pictures move: what is attached to it is opened and fed.

    Attributes:
        feeds: What feeds each sink, by its identity.
        first: What is reported, and how the first feed draws.
    """

    feeds: dict[int, Camera] = field(default_factory=dict)
    first: Camera = field(default_factory=Camera)
    fresh: bool = True

    def state(self) -> CameraState:
        if self.now.phase != "running":
            return self.now
        return replace(self.now, status=self.first.status)

    def attach(self, sink: Sink) -> None:
        super().attach(sink)
        camera, self.fresh = (self.first, False) if self.fresh else (Camera(), False)
        self.feeds[id(sink)] = camera
        sink.open(camera.stream)
        camera.start(sink)

    def detach(self, sink: Sink) -> None:
        super().detach(sink)
        camera = self.feeds.pop(id(sink), None)
        if camera is not None:
            camera.stop()
            sink.close()

    def reset(self) -> None:
        """Run again as at first."""
        self.now = CameraState("running")
        self.first.reset()

    def set_source(self, **changes: Any) -> None:
        """Report another state of the source."""
        self.first.set_source(**changes)

    @property
    def status(self) -> PipelineStatus:
        """What is reported."""
        return self.first.status


@dataclass
class Served:
    """A companion that serves.

    Attributes:
        companion: The page.
        service: What it sees.
        address: Where a browser finds it, with a slash at the end.
    """

    companion: WebCompanion
    service: PlainService
    address: str

    def client(self, **options: Any) -> httpx.Client:
        """Asks it."""
        return httpx.Client(base_url=self.address, timeout=PROMPT_S, **options)

    def add(self, camera: PlainCamera) -> None:
        """One camera more, as after a reload."""
        self.service.cameras.append(camera)
        self.companion.add_camera(camera)

    def remove(self, camera: PlainCamera) -> None:
        """One camera less."""
        self.companion.remove_camera(camera)
        self.service.cameras.remove(camera)


@contextmanager
def served_hub(
    *cameras: PlainCamera,
    state_directory: Path | None = None,
    timeouts: Timeouts = PATIENT,
    backoff: Backoff | None = None,
    **settings: Any,
) -> Iterator[Served]:
    """The page of some cameras, at a free port of the loopback address."""
    endpoint = settings.pop("listen", None) or f"127.0.0.1:{free_port()}"
    service = PlainService(cameras=list(cameras))
    if state_directory is not None:
        service.state_directory = state_directory
    companion = WebCompanion(WebSettings(listen=endpoint, **settings), timeouts, backoff)
    companion.start(service)
    try:
        for camera in cameras:
            companion.add_camera(camera)
        yield Served(companion, service, f"http://{endpoint}/")
    finally:
        companion.stop()
