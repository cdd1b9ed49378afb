"""What one camera's reporter makes of results, without any broker."""

import json
import time
from datetime import datetime
from typing import Any

import numpy as np
import pytest
from support.service_views import PlainCamera

from edge_detect.core import NS_PER_S, Detections, Frame, Result, Timings
from edge_detect.service.config.settings import CameraSettings, MqttSettings
from edge_detect.service.mqtt.outbox import Outbox
from edge_detect.service.mqtt.reporter import CameraReporter
from edge_detect.service.mqtt.topics import Topics
from edge_detect.service.mqtt.worker import Worker

_EVENT = "edge-detect/pi/camera/yard/event"


class Told:
    """A reporter with a clock of its own, which begins five seconds after boot."""

    def __init__(self, max_fps: float | None = None) -> None:
        settings = MqttSettings(host="x", node="pi", snapshot_s=0)
        self.now_s = 5.0
        self.outbox = Outbox(100)
        self._camera = PlainCamera("yard", CameraSettings(source="x", max_fps=max_fps))
        self._reporter = CameraReporter(
            self._camera,
            Topics(settings),
            settings,
            self.outbox,
            lambda: None,
            Worker("pictures"),
            clock_ns=lambda: round(self.now_s * NS_PER_S),
        )
        self._reporter.start()

    def wait(self, seconds: float) -> None:
        """Let time pass, and look what has changed."""
        self.now_s += seconds
        self._reporter.tick()

    def see_somebody(self) -> None:
        """Give it a result of this moment."""
        frame = Frame(np.zeros((48, 64, 3), np.uint8), round(self.now_s * NS_PER_S), 0, "test", 0)
        box = np.array([[10, 10, 30, 40]], np.float32)
        score, class_id = np.full(1, 0.8, np.float32), np.zeros(1, np.int32)
        found = Detections(box, score, class_id, ("person",))
        self._camera.sinks[0].write_result(Result(frame, found, Timings()))

    def events(self) -> list[dict[str, Any]]:
        """What it has told of objects, as it is published now."""
        messages = iter(self.outbox.take, None)
        return [json.loads(each.payload) for each in messages if each.topic == _EVENT]


def test_a_camera_that_looks_once_a_minute_tells_of_who_is_there() -> None:
    told = Told(max_fps=1 / 60)
    told.see_somebody()
    told.wait(60)
    told.see_somebody()
    told.wait(0)
    assert [event["event_type"] for event in told.events()] == ["appear"]


def test_who_was_there_leaves_when_results_no_longer_come() -> None:
    told = Told()
    told.see_somebody()
    told.wait(1)
    told.see_somebody()
    told.wait(32.9)
    assert [event["event_type"] for event in told.events()] == ["appear"]
    told.wait(0.2)
    assert [event["reason"] for event in told.events()] == ["no results"]


def test_a_clock_that_is_set_while_the_broker_is_away_puts_the_times_of_events_right(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told = Told()
    # A board without a clock of its own, before it has a network.
    monkeypatch.setattr(time, "time_ns", lambda: 5 * NS_PER_S)
    told.see_somebody()
    told.wait(1)
    told.see_somebody()
    monkeypatch.undo()
    (event,) = told.events()
    assert datetime.fromisoformat(event["began"]).year > 1970


def test_objects_of_two_runs_at_the_same_time_of_day_have_names_of_their_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(time, "time_ns", lambda: 5 * NS_PER_S)
    names = set()
    for _ in range(2):
        told = Told()
        told.see_somebody()
        told.wait(1)
        told.see_somebody()
        names |= {event["id"] for event in told.events()}
    assert len(names) == 2
