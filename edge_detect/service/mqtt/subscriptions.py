"""What is wanted from the broker, and who takes it."""

from collections.abc import Callable
from threading import Lock

__all__ = ["Subscriptions"]

# Topic, payload, and whether the broker had kept it.
Taker = Callable[[str, bytes, bool], None]


class Subscriptions:
    """Filters that are subscribed at every new connection, and the taker of what comes.

    Args:
        always: Filters; empty ones are left out.
        taker: Called by the connection's thread, so it must not wait.
    """

    def __init__(self, always: tuple[str, ...], taker: Taker) -> None:
        self._always = tuple(filter(None, always))
        self._taker = taker
        self._lock = Lock()
        self._wanted: list[str] = []
        self._unwanted: list[str] = []
        self._renewals = 0

    @property
    def renewals(self) -> int:
        """How many connections there were."""
        return self._renewals

    def renew(self) -> None:
        """Want everything anew, at the beginning of a connection."""
        with self._lock:
            self._renewals += 1
            self._wanted = list(self._always)
            self._unwanted = []

    def begin(self, topics: tuple[str, ...]) -> None:
        """Want more, until `end` or the end of the connection."""
        with self._lock:
            self._wanted += topics

    def end(self, topics: tuple[str, ...]) -> None:
        """Want something no longer."""
        with self._lock:
            self._unwanted += topics

    def wanted(self) -> list[str]:
        """What is to be subscribed now; told once."""
        with self._lock:
            wanted, self._wanted = self._wanted, []
            return wanted

    def unwanted(self) -> list[str]:
        """What is to be unsubscribed now; told once."""
        with self._lock:
            unwanted, self._unwanted = self._unwanted, []
            return unwanted

    def take(self, topic: str, payload: bytes, *, retained: bool) -> None:
        """Hand on what has come."""
        self._taker(topic, payload, retained)
