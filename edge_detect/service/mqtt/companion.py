"""MQTT beside the cameras."""

import logging
from threading import Event, Lock, Thread

from edge_detect.core import NS_PER_S, monotonic_ns
from edge_detect.service.companion import CameraView, Companion, ServiceView
from edge_detect.service.config.settings import MqttSettings
from edge_detect.service.mqtt.commands import Commands
from edge_detect.service.mqtt.connection import Connection
from edge_detect.service.mqtt.discovery import node_entities
from edge_detect.service.mqtt.outbox import Outbox
from edge_detect.service.mqtt.reporter import CameraReporter
from edge_detect.service.mqtt.states import as_json, node_state
from edge_detect.service.mqtt.subscriptions import Subscriptions
from edge_detect.service.mqtt.survey import Survey
from edge_detect.service.mqtt.topics import Topics
from edge_detect.service.mqtt.waits import Waits
from edge_detect.service.mqtt.worker import Worker

__all__ = ["MqttCompanion"]

_log = logging.getLogger(__name__)

_JOIN_S = 0.1


class MqttCompanion(Companion):
    """Tells a broker what cameras see and how they are, and follows commands from there.

    The broker may be away, wrong or frozen at any time: it is tried again for ever, and
    nothing else waits for it.

    Args:
        settings: The broker, and what it is told.
        waits: How long to wait for what.
    """

    def __init__(self, settings: MqttSettings, waits: Waits | None = None) -> None:
        self._settings = settings
        self._waits = waits = waits or Waits()
        self._topics = Topics(settings)
        self._outbox = Outbox(settings.queue)
        self._subscriptions = Subscriptions(
            (self._topics.commands, self._topics.status, self._topics.home_assistant), self._take
        )
        self._connection = Connection(
            settings, self._topics, self._outbox, self._subscriptions, waits
        )
        self._survey = Survey(
            self._topics, self._outbox, self._subscriptions, self._is_expected, waits.survey_s
        )
        self._commands = Commands(self._topics, self._outbox, self._find, self._connection.wake)
        self._pictures = Worker("edge-mqtt-pictures")
        self._service: ServiceView | None = None
        self._lock = Lock()
        self._reporters: dict[str, CameraReporter] = {}
        self._leaving: list[tuple[int, set[str]]] = []
        self._stopping = Event()
        self._thread = Thread(target=self._run, name="edge-mqtt-report", daemon=True)
        self._next_state_ns = 0
        self._last_key: tuple[object, ...] = ()
        self._error = ""

    @property
    def connected(self) -> bool:
        """Whether the broker has accepted us."""
        return self._connection.connected

    @property
    def events_lost(self) -> int:
        """How many events were thrown away because the broker was away for too long."""
        return self._outbox.dropped

    def start(self, service: ServiceView) -> None:
        """Begin to connect, in the background; a broker that is away is no error.

        Raises:
            DependencyError: paho-mqtt is missing.
            ConfigError: A file of certificates or keys cannot be read.
        """
        self._service = service
        if self._topics.discovery:
            for topic, told in node_entities(self._topics).items():
                self._outbox.retain(topic, as_json(told))
        self._connection.start()
        self._commands.worker.start()
        self._pictures.start()
        self._thread.start()

    def add_camera(self, camera: CameraView) -> None:
        """Tell of a camera from now on."""
        reporter = CameraReporter(
            camera,
            self._topics,
            self._settings,
            self._outbox,
            self._connection.wake,
            self._pictures,
        )
        with self._lock:
            self._reporters[camera.name] = reporter
        reporter.start()

    def remove_camera(self, camera: CameraView) -> None:
        """Tell that a camera has gone; a while later the broker forgets it."""
        with self._lock:
            reporter = self._reporters.pop(camera.name, None)
        if reporter is None:
            return
        reporter.close("the camera was removed")
        forget_at_ns = monotonic_ns() + round(self._waits.forget_s * NS_PER_S)
        with self._lock:
            self._leaving.append((forget_at_ns, reporter.topics_used))

    def stop(self) -> None:
        """Say goodbye and hang up, within a second; may be called twice, and without `start`."""
        self._stopping.set()
        self._commands.worker.stop()
        self._pictures.stop()
        with self._lock:
            reporters = list(self._reporters.values())
            self._reporters.clear()
        for reporter in reporters:
            reporter.close("the program has ended")
        self._connection.stop()
        if self._thread.is_alive():
            self._thread.join(_JOIN_S)

    def trouble(self) -> str:
        """Which of its threads has ended though nobody asked it to."""
        return (
            self._connection.trouble()
            or self._commands.worker.error
            or self._pictures.error
            or self._error
        )

    def _run(self) -> None:
        try:
            while not self._stopping.wait(self._waits.tick_s):
                self._tick()
        except Exception as error:  # noqa: BLE001 - kept for `trouble`
            self._error = f"edge-mqtt-report: {type(error).__name__}: {error}"
            _log.exception("edge-mqtt-report has ended for good")

    def _tick(self) -> None:
        now_ns = monotonic_ns()
        with self._lock:
            reporters = list(self._reporters.values())
        for reporter in reporters:
            reporter.tick()
        self._tell_state(now_ns)
        self._forget(now_ns)
        self._survey.tick(now_ns)
        self._connection.wake()

    def _tell_state(self, now_ns: int) -> None:
        """Tell changes at once, and figures at their interval."""
        service = self._service
        assert service is not None
        key = (service.ready, service.troubles(), service.reloads)
        if key != self._last_key or now_ns >= self._next_state_ns:
            self._last_key = key
            self._next_state_ns = now_ns + round(self._settings.interval_s * NS_PER_S)
            state = node_state(service, self._outbox.dropped)
            self._outbox.retain(self._topics.state, as_json(state))

    def _forget(self, now_ns: int) -> None:
        """Have the broker forget cameras that have been gone for a while."""
        with self._lock:
            due = [topics for at_ns, topics in self._leaving if at_ns <= now_ns]
            self._leaving = [item for item in self._leaving if item[0] > now_ns]
            used = set().union(*(each.topics_used for each in self._reporters.values()))
        for topics in due:
            for topic in sorted(topics - used):
                self._outbox.retain(topic, b"")

    def _find(self, name: str) -> CameraReporter | None:
        with self._lock:
            return self._reporters.get(name)

    def _is_expected(self, topic: str) -> bool:
        """Whether it may be of a camera that has not been added yet, or that may come back."""
        assert self._service is not None
        with self._lock:
            present = set(self._reporters)
            leaving = any(topic in topics for _, topics in self._leaving)
        names = {camera.name for camera in self._service.cameras} - present
        return leaving or any(self._topics.is_of_camera(topic, name) for name in names)

    def _take(self, topic: str, payload: bytes, retained: bool) -> None:  # noqa: FBT001
        """Take what the broker sends; called by the connection, so nothing here waits."""
        if topic == self._topics.home_assistant:
            # What the broker had kept is old, and not ours to be removed.
            if payload == b"online" and not retained:
                self._outbox.repeat(f"{self._topics.discovery}/")
                self._outbox.repeat(f"{self._topics.base}/")
        elif retained:
            # Also commands that somebody had kept: they were meant for another day.
            self._survey.take(topic)
        elif self._topics.command(topic) is not None:
            self._commands.take(topic, payload)
