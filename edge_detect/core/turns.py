"""A lock that is fair: whoever asked first is next."""

from collections import deque
from collections.abc import Callable
from threading import Lock

__all__ = ["Turns"]

_LOOK_S = 0.5


class Turns:
    """Lets threads use one thing in the order in which they asked.

    A plain lock goes to whichever thread the system happens to wake, which starves some.

    Args:
        look_s: Who waits looks so often whether to give up.
    """

    def __init__(self, look_s: float = _LOOK_S) -> None:
        self._look_s = look_s
        self._lock = Lock()
        self._taken = False
        self._waiting: deque[Lock] = deque()

    def take(self, give_up: Callable[[], bool]) -> bool:
        """Wait for one's turn.

        Args:
            give_up: Called every `look_s` seconds; true ends the wait.

        Returns:
            Whether it is one's turn; then `give_back` must follow.
        """
        with self._lock:
            if not self._taken:
                self._taken = True
                return True
            turn = Lock()
            turn.acquire()
            self._waiting.append(turn)
        while not turn.acquire(timeout=self._look_s):
            if give_up():
                return self._leave(turn)
        return True

    def give_back(self) -> None:
        """Let the next one have it."""
        with self._lock:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._taken = False

    def _leave(self, turn: Lock) -> bool:
        with self._lock:
            if turn in self._waiting:
                self._waiting.remove(turn)
                return False
        # Handed over in the meantime: it goes to the next one.
        self.give_back()
        return False
