"""Tells of one camera."""

from collections.abc import Callable
from functools import partial
from secrets import token_hex
from threading import Lock

from edge_detect.core import NS_PER_S, Result, monotonic_ns
from edge_detect.service.companion import CameraState, CameraView
from edge_detect.service.config.settings import MqttSettings
from edge_detect.service.mqtt.discovery import camera_entities, places_of
from edge_detect.service.mqtt.events import Change, EventRules, EventTracker, Sighting
from edge_detect.service.mqtt.occupancy import Occupancy
from edge_detect.service.mqtt.outbox import Outbox
from edge_detect.service.mqtt.states import as_json, camera_state, event_payload, is_live
from edge_detect.service.mqtt.topics import Topics
from edge_detect.service.mqtt.worker import Worker
from edge_detect.sinks import Sink, StreamInfo

__all__ = ["CameraReporter"]

_SNAPSHOT_S = 2.0
# A live source whose results do not come any longer tells nothing about what is there.
_SILENT_S = 30.0


class CameraReporter:
    """Follows what one camera sees and how it is, and puts what is worth telling in the outbox.

    Args:
        camera: Whom it is about.
        topics: Where that goes.
        settings: When and how often.
        outbox: Takes it.
        wake: Has the outbox looked at; never waits.
        pictures: Does what has to wait for a picture.
        clock_ns: CLOCK_MONOTONIC time.
    """

    def __init__(
        self,
        camera: CameraView,
        topics: Topics,
        settings: MqttSettings,
        outbox: Outbox,
        wake: Callable[[], None],
        pictures: Worker,
        *,
        clock_ns: Callable[[], int] = monotonic_ns,
    ) -> None:
        self.camera = camera
        self._own = topics.camera(camera.name)
        self._settings = settings
        self._outbox = outbox
        self._wake = wake
        self._pictures = pictures
        self._clock_ns = clock_ns
        self._lock = Lock()
        self._tracker = EventTracker(
            EventRules(settings.appear_s, settings.leave_s, settings.parked_s, settings.stay_s)
        )
        self._occupancy = Occupancy(places_of(camera))
        self._discovery = camera_entities(topics, camera) if topics.discovery else {}
        self._sink = _ResultSink(f"mqtt://{settings.host}", self._take)
        # Objects of two runs of the program are never taken for one another. The time of day would
        # not tell them apart: without a clock of its own, a board starts at the same one each time.
        self._run = f"{camera.name}-{token_hex(6)}"
        self._topics_used: set[str] = set()
        self._last_key: tuple[object, ...] = ()
        self._next_state_ns = 0
        self._next_snapshot_ns = 0
        self._waits_for_picture = False
        self._closed = False

    @property
    def topics_used(self) -> set[str]:
        """All topics at which the broker keeps something of this camera."""
        with self._lock:
            return set(self._topics_used)

    def start(self) -> None:
        """Tell everything once, and begin to follow the results."""
        for topic, told in self._discovery.items():
            self._retain(topic, as_json(told))
        for (zone, label), number in self._occupancy.shown.items():
            self._retain(self._own.occupancy(zone, label), b"%d" % number)
        self.tick()
        self.camera.attach(self._sink)

    def tick(self) -> None:
        """Tell what has changed though nothing was seen; to be called every second or so."""
        state = self.camera.state()
        now_ns = self._clock_ns()
        with self._lock:
            if self._closed:
                return
            reason = self._why_nothing_is_seen(state, now_ns)
            if reason:
                self._tell(self._tracker.end_all(reason))
            self._tell_occupancy(now_ns)
            self._tell_state(state, now_ns)
        self._wake()

    def report_controls(self) -> None:
        """Tell how switch and threshold stand, once more, whether they have changed or not."""
        state = self.camera.state()
        with self._lock:
            self._tell_state(state, self._clock_ns())
        self._outbox.repeat(self._own.enable)
        self._outbox.repeat(self._own.threshold)
        self._wake()

    def take_snapshot(self, refuse: Callable[[str], None]) -> None:
        """Publish the next picture; returns at once.

        Args:
            refuse: Told why there will be none.
        """
        with self._lock:
            waits, self._waits_for_picture = self._waits_for_picture, True
        if waits:
            # The picture that is coming serves both.
            return
        if not self._pictures.submit(lambda: self._publish_picture(refuse)):
            self._waits_for_picture = False
            refuse("too many pictures at once")

    def close(self, reason: str) -> None:
        """Let objects leave, and follow the camera no longer.

        Args:
            reason: Told with the objects' `leave`.
        """
        self.camera.detach(self._sink)
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._tell(self._tracker.end_all(reason))
            for zone, label in self._occupancy.shown:
                self._retain(self._own.occupancy(zone, label), b"0")
            self._retain(self._own.availability, b"offline")
        self._wake()

    def _take(self, result: Result) -> None:
        width, height = result.frame.size
        sightings = [Sighting.of(found, width, height) for found in result.detections]
        with self._lock:
            if self._closed:
                return
            changes = self._tracker.update(sightings, result.frame.captured_ns)
            self._tell(changes)
            told = self._tell_occupancy(self._clock_ns())
        if any(change.kind == "appear" for change in changes):
            self._snapshot_if_due()
        if changes or told:
            self._wake()

    def _why_nothing_is_seen(self, state: CameraState, now_ns: int) -> str:
        """Empty while results can be expected."""
        if not state.enabled:
            return "detection was switched off"
        if self._tracker.newest_ns is None:
            return ""
        silent_s = (now_ns - self._tracker.newest_ns) / NS_PER_S
        if not is_live(state) and silent_s >= self._settings.leave_s:
            return "the camera has gone"
        # Who looks once a minute, on purpose, is not silent.
        max_fps = self.camera.settings.max_fps
        longest_s = _SILENT_S + self._settings.leave_s + (2 / max_fps if max_fps else 0.0)
        return "no results" if silent_s >= longest_s else ""

    def _tell(self, changes: list[Change]) -> None:
        for change in changes:
            identity = f"{self._run}-{change.number}"
            payload = partial(event_payload, self.camera.name, identity, change)
            self._outbox.send(self._own.event, payload)

    def _tell_occupancy(self, now_ns: int) -> bool:
        changed = self._occupancy.update(self._tracker.counts(), now_ns)
        for (zone, label), number in changed.items():
            self._retain(self._own.occupancy(zone, label), b"%d" % number)
        return bool(changed)

    def _tell_state(self, state: CameraState, now_ns: int) -> None:
        """Tell changes at once, and figures at their interval."""
        live = is_live(state)
        source = None if state.status is None else state.status.source.state
        key = (state.phase, state.reason, source, state.enabled, state.score_threshold)
        if key == self._last_key and now_ns < self._next_state_ns:
            return
        self._last_key = key
        self._next_state_ns = now_ns + round(self._settings.interval_s * NS_PER_S)
        self._retain(self._own.availability, b"online" if live else b"offline")
        self._retain(self._own.enable, b"ON" if state.enabled else b"OFF")
        if state.score_threshold is not None:
            self._retain(self._own.threshold, f"{state.score_threshold:.4g}".encode())
        self._retain(self._own.state, as_json(camera_state(state)))

    def _retain(self, topic: str, payload: bytes) -> None:
        self._topics_used.add(topic)
        self._outbox.retain(topic, payload)

    def _snapshot_if_due(self) -> None:
        now_ns = self._clock_ns()
        if self._settings.snapshot_s and now_ns >= self._next_snapshot_ns:
            self._next_snapshot_ns = now_ns + round(self._settings.snapshot_s * NS_PER_S)
            # Nobody asked for it, so nobody needs to hear if there is none.
            self.take_snapshot(lambda _: None)

    def _publish_picture(self, refuse: Callable[[str], None]) -> None:
        jpeg = self.camera.snapshot(_SNAPSHOT_S)
        with self._lock:
            self._waits_for_picture = False
            if jpeg is not None and not self._closed:
                self._retain(self._own.snapshot, jpeg)
        if jpeg is None:
            refuse(f"no picture came within {_SNAPSHOT_S:g} s")
        self._wake()


class _ResultSink(Sink):
    """Hands results on; it cannot fail, and never waits."""

    takes_results = True

    def __init__(self, name: str, take: Callable[[Result], None]) -> None:
        self.name = name
        self._take = take

    def open(self, stream: StreamInfo) -> None:
        """There is nothing to be opened: the connection is not the pipeline's affair."""

    def write_result(self, result: Result) -> None:
        """Follow the objects in it."""
        self._take(result)

    def close(self) -> None:
        """What is in sight is taken for gone when no more results come."""
