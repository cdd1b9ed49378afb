"""What waits to be told to the broker."""

from collections import deque
from collections.abc import Callable
from functools import partial
from threading import Lock
from typing import NamedTuple

__all__ = ["Message", "Outbox"]


class Message(NamedTuple):
    """One thing to be published."""

    topic: str
    payload: bytes
    retain: bool


class Outbox:
    """Events in their order, and the newest value of everything that is retained.

    Values are not queued: of each topic the newest waits, and after a reconnection all of
    them go out anew. So a broker that was away for a week learns how things are, and at
    most `capacity` of the events that it has missed.

    All methods may be called from any thread, and none ever waits.

    Args:
        capacity: How many events wait at most; then the oldest is thrown away.
    """

    def __init__(self, capacity: int) -> None:
        self._lock = Lock()
        self._events: deque[tuple[str, Callable[[], bytes]]] = deque()
        self._capacity = capacity
        self._values: dict[str, bytes] = {}
        # Topics whose newest value has not been taken yet; a dict keeps their order.
        self._due: dict[str, None] = {}
        self._dropped = 0

    def __len__(self) -> int:
        with self._lock:
            return len(self._due) + len(self._events)

    @property
    def dropped(self) -> int:
        """How many events were thrown away, in all."""
        return self._dropped

    @property
    def topics(self) -> set[str]:
        """All topics that have a value."""
        with self._lock:
            return {topic for topic, payload in self._values.items() if payload}

    def send(self, topic: str, payload: Callable[[], bytes]) -> None:
        """Queue an event.

        Args:
            topic: Where it goes.
            payload: Makes what is published, when it is taken: the time of day may be put right
                while the broker is away.
        """
        with self._lock:
            if len(self._events) >= self._capacity:
                self._events.popleft()
                self._dropped += 1
            self._events.append((topic, payload))

    def retain(self, topic: str, payload: bytes) -> bool:
        """Set the value of a topic; an empty one has the broker forget the topic.

        Returns:
            Whether there is anything new to say.
        """
        with self._lock:
            if self._values.get(topic) == payload:
                return False
            self._values[topic] = payload
            self._due[topic] = None
            return True

    def repeat(self, prefix: str = "") -> None:
        """Have all values go out once more, oldest topic first.

        Args:
            prefix: Of the topics that are meant.
        """
        with self._lock:
            self._due.update((topic, None) for topic in self._values if topic.startswith(prefix))

    def take(self) -> Message | None:
        """The next to be published; None when nothing waits. Values go before events."""
        with self._lock:
            if self._due:
                topic = next(iter(self._due))
                del self._due[topic]
                return Message(topic, self._values[topic], retain=True)
            event = self._events.popleft() if self._events else None
        return None if event is None else Message(event[0], event[1](), retain=False)

    def give_back(self, messages: list[Message]) -> None:
        """Put events that were taken but not delivered before all others; no values.

        Args:
            messages: In the order in which they were taken.
        """
        with self._lock:
            events = [each for each in reversed(messages) if not each.retain]
            self._events.extendleft((each.topic, partial(bytes, each.payload)) for each in events)

    def delivered(self, message: Message) -> None:
        """Forget a topic that the broker has forgotten."""
        with self._lock:
            gone = message.retain and not message.payload and message.topic not in self._due
            if gone and not self._values.get(message.topic, b"-"):
                del self._values[message.topic]
