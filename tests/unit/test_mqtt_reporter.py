"""What one camera's reporter makes of results, without any broker."""

import numpy as np
from support.service_views import PlainCamera

from edge_detect.core import NS_PER_S, Detections, Frame, Result, Timings, monotonic_ns
from edge_detect.service.config.settings import CameraSettings, MqttSettings
from edge_detect.service.mqtt.outbox import Outbox
from edge_detect.service.mqtt.reporter import CameraReporter
from edge_detect.service.mqtt.topics import Topics
from edge_detect.service.mqtt.worker import Worker

_EVENT = "edge-detect/pi/camera/yard/event"


def somebody(captured_ns: int) -> Result:
    frame = Frame(np.zeros((48, 64, 3), np.uint8), captured_ns, 0, "test", 0)
    box = np.array([[10, 10, 30, 40]], np.float32)
    score, class_id = np.full(1, 0.8, np.float32), np.zeros(1, np.int32)
    return Result(frame, Detections(box, score, class_id, ("person",)), Timings())


def test_a_camera_that_looks_once_a_minute_tells_of_who_is_there() -> None:
    settings = MqttSettings(host="x", node="pi", snapshot_s=0)
    camera = PlainCamera("yard", CameraSettings(source="x", max_fps=1 / 60))
    outbox = Outbox(100)
    reporter = CameraReporter(
        camera, Topics(settings), settings, outbox, lambda: None, Worker("pictures")
    )
    reporter.start()
    for ago_s in (60, 0):
        camera.sinks[0].write_result(somebody(monotonic_ns() - ago_s * NS_PER_S))
        reporter.tick()
    messages = iter(outbox.take, None)
    assert [each.topic for each in messages if not each.retain] == [_EVENT]
