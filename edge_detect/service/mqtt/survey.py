"""Finds what the broker still keeps of earlier runs, and has it forgotten."""

from collections.abc import Callable
from threading import Lock

from edge_detect.core import NS_PER_S, monotonic_ns
from edge_detect.service.mqtt.outbox import Outbox
from edge_detect.service.mqtt.subscriptions import Subscriptions
from edge_detect.service.mqtt.topics import Topics

__all__ = ["Survey"]

_MOST = 10_000


class Survey:
    """At the beginning of every connection, compares what is kept with what should be.

    Args:
        topics: All that is ours.
        outbox: Knows what should be kept, and takes what is to be forgotten.
        subscriptions: Of the connection.
        spare: Tells topics that are to be left alone, because their camera is about to come.
        silent_s: So long after the last that the broker keeps, all of it has come.
    """

    def __init__(
        self,
        topics: Topics,
        outbox: Outbox,
        subscriptions: Subscriptions,
        spare: Callable[[str], bool],
        silent_s: float,
    ) -> None:
        self._topics = topics
        self._outbox = outbox
        self._subscriptions = subscriptions
        self._spare = spare
        self._silent_ns = round(silent_s * NS_PER_S)
        self._lock = Lock()
        self._found: set[str] = set()
        self._connections = 0
        self._until_ns: int | None = None

    def take(self, topic: str) -> None:
        """Note a topic at which the broker keeps something."""
        with self._lock:
            if self._until_ns is not None and len(self._found) < _MOST:
                self._found.add(topic)
                self._until_ns = monotonic_ns() + self._silent_ns

    def tick(self, now_ns: int) -> None:
        """Begin or end a survey if it is time to; to be called every second or so."""
        with self._lock:
            begins = self._connections != self._subscriptions.renewals
            ends = not begins and self._until_ns is not None and now_ns >= self._until_ns
            found = self._found
            if begins or ends:
                self._found = set()
                self._connections = self._subscriptions.renewals
                self._until_ns = now_ns + self._silent_ns if begins else None
        if begins:
            self._subscriptions.begin(self._topics.everything)
        elif ends:
            self._subscriptions.end(self._topics.everything)
            kept = self._outbox.topics | {self._topics.status}
            for topic in sorted(found - kept):
                if not self._spare(topic):
                    self._outbox.retain(topic, b"")
