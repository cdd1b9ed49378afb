"""What others may have cameras do."""

import logging
from collections.abc import Callable
from threading import Lock

from edge_detect.core import NS_PER_S, monotonic_ns
from edge_detect.service.mqtt.outbox import Outbox
from edge_detect.service.mqtt.reporter import CameraReporter
from edge_detect.service.mqtt.states import as_json
from edge_detect.service.mqtt.topics import Topics
from edge_detect.service.mqtt.worker import Worker

__all__ = ["Commands", "parse_share", "parse_switch"]

_log = logging.getLogger(__name__)

_LONGEST_QUOTE = 64
_ANSWERS_NS = NS_PER_S // 2
_LOGGED_NS = 60 * NS_PER_S


def parse_switch(payload: bytes) -> bool:
    """Read `ON` or `OFF`.

    Raises:
        ValueError: It is something else.
    """
    word = payload.strip().upper()
    if word not in (b"ON", b"OFF"):
        raise ValueError("must be ON or OFF")
    return word == b"ON"


def parse_share(payload: bytes) -> float:
    """Read a number from 0 to 1.

    Raises:
        ValueError: It is something else.
    """
    try:
        # Python would take 0_1 for 1.
        share = -1.0 if b"_" in payload else float(payload)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise ValueError("must be a number from 0 to 1")
    return share


class Commands:
    """Follows commands in a thread of its own, and answers those that it cannot follow.

    Args:
        topics: Where they come in, and errors go out.
        outbox: Takes the errors.
        find: Gives the reporter of a camera; None for a name that no camera has.
        wake: Has the outbox looked at.
    """

    def __init__(
        self,
        topics: Topics,
        outbox: Outbox,
        find: Callable[[str], CameraReporter | None],
        wake: Callable[[], None],
    ) -> None:
        self._topics = topics
        self._outbox = outbox
        self._find = find
        self._wake = wake
        self._lock = Lock()
        self._answer_ns = 0
        self._log_ns = 0
        self.worker = Worker("edge-mqtt-commands")

    def take(self, topic: str, payload: bytes) -> None:
        """Have a command followed; returns at once.

        Args:
            topic: One that `Topics.command` knows.
            payload: Whatever somebody has sent.
        """
        if not self.worker.submit(lambda: self._follow(topic, payload)):
            self._refuse(topic, payload, "too many commands at once")

    def _follow(self, topic: str, payload: bytes) -> None:
        command = self._topics.command(topic)
        if command is None:
            return
        camera, what = command
        reporter = self._find(camera)
        if reporter is None:
            self._refuse(topic, payload, f"there is no camera {camera!r}")
            return
        try:
            if what == "enable":
                reporter.camera.set_enabled(parse_switch(payload))
            elif what == "threshold":
                reporter.camera.set_score_threshold(parse_share(payload))
            elif what == "snapshot":
                reporter.take_snapshot(lambda why: self._refuse(topic, payload, why))
                return
            else:
                self._refuse(topic, payload, "is none of enable, threshold and snapshot")
        except ValueError as error:
            self._refuse(topic, payload, str(error))
        # Also what was refused, so that a switch somewhere else jumps back.
        reporter.report_controls()

    def _refuse(self, topic: str, payload: bytes, why: str) -> None:
        """Answer, and log, neither of them more often than somebody can read."""
        quote = payload[:_LONGEST_QUOTE].decode(errors="replace")
        now_ns = monotonic_ns()
        with self._lock:
            answer, log = now_ns >= self._answer_ns, now_ns >= self._log_ns
            if answer:
                self._answer_ns = now_ns + _ANSWERS_NS
            if log:
                self._log_ns = now_ns + _LOGGED_NS
        if log:
            _log.warning("command %s %r: %s", topic, quote, why)
        if answer:
            told = {"topic": topic, "payload": quote, "error": why}
            self._outbox.send(self._topics.error, lambda: as_json(told))
            self._wake()
