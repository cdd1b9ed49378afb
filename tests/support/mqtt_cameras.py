"""A companion that talks to a broker about cameras of plain data."""

import threading
from contextlib import contextmanager

import numpy as np

from edge_detect.core import NS_PER_S, Detections, Frame, Result, Timings, monotonic_ns
from edge_detect.service.config.settings import CameraSettings, MqttSettings, ZoneSettings
from edge_detect.service.mqtt import MqttCompanion
from edge_detect.service.mqtt.waits import Waits
from support.service_views import PlainCamera, PlainService
from support.waiting import wait_for

__all__ = ["BASE", "WAITS", "YARD", "Show", "camera_called", "companion_of"]

BASE = "edge-detect/pi"
YARD = f"{BASE}/camera/yard"
_LABELS = ("person", "car")
_HALF = ((0.0, 0.0), (1.0, 0.0), (1.0, 0.5))
# So short that tests do not wait, and so long that what a broker tells at once has come.
WAITS = Waits(tick_s=0.05, forget_s=1.0, survey_s=1.0, retry_s=0.05)
_IMAGE = np.zeros((48, 64, 3), np.uint8)


def camera_called(name="yard", **keys):
    """A camera that looks for people, with a zone."""
    return PlainCamera(
        name,
        CameraSettings(
            source="x", classes=("person",), zones={"gate": ZoneSettings(polygon=_HALF)}
        ),
        zones=("gate",),
        picture=b"\xff\xd8 a picture of " + name.encode(),
        **keys,
    )


@contextmanager
def companion_of(port, cameras=(), waits=WAITS, **keys):
    """A companion for the time of a `with` statement, which leaves no thread behind."""
    options = {"node": "pi", "keepalive_s": 30, "user": "", "password": ""} | keys
    companion = MqttCompanion(MqttSettings(host="127.0.0.1", port=port, **options), waits)
    companion.service = PlainService(list(cameras))
    try:
        companion.start(companion.service)
        for camera in cameras:
            companion.add_camera(camera)
        yield companion
    finally:
        companion.stop()
        wait_for(lambda: not [t for t in threading.enumerate() if t.name.startswith("edge-mqtt")])
        assert companion.trouble() == ""


class Show:
    """Gives a camera's sinks results, ten a second of the frames' time and at once of ours."""

    def __init__(self, camera):
        self._camera = camera
        self._next_ns = monotonic_ns()

    def give(self, results, *boxes, zone=False):
        """Show people in those boxes, in or out of the zone, so many times."""
        for _ in range(results):
            self._next_ns += NS_PER_S // 10
            n = len(boxes)
            found = Detections(
                np.array(boxes, np.float32).reshape(-1, 4),
                np.full(n, 0.8, np.float32),
                np.zeros(n, np.int32),
                _LABELS,
                ("gate",),
                np.full((n, 1), zone),
            )
            frame = Frame(_IMAGE, self._next_ns, 0, "test", 0)
            for sink in self._camera.sinks:
                sink.write_result(Result(frame, found, Timings()))

    def visit(self):
        """Somebody comes and goes, within ten seconds of frames."""
        self.give(7, (10, 10, 30, 40))
        self.give(35)
