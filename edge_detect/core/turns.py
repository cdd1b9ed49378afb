"""Work of several threads on one thing: one step at a time, in the order of asking."""

from collections import deque
from collections.abc import Callable
from contextvars import copy_context
from threading import Lock

__all__ = ["Turn", "Turns"]

_LOOK_S = 0.5


class Turn:
    """The work of one thread, step by step.

    Args:
        step: Does one step; may be called in any thread, in the context of the one that made
            this object, and never twice at a time.
        ready: Whether there is a step to do, or an end that `step` would find; must not block.
    """

    __slots__ = ("_context", "_step", "_woken", "error", "leads", "leaving", "ready")

    def __init__(self, step: Callable[[], None], ready: Callable[[], bool]) -> None:
        self._step = step
        self._context = copy_context()
        self._woken = Lock()
        self._woken.acquire()
        self.ready = ready
        self.error: BaseException | None = None
        self.leads = self.leaving = False

    def run(self) -> None:
        """Do one step."""
        self._context.run(self._step)

    def wake(self) -> None:
        """End the wait of the thread that asked."""
        self._woken.release()

    def wait(self, timeout_s: float) -> bool:
        """Whether `wake` was called within the time."""
        return self._woken.acquire(timeout=timeout_s)


class Turns:
    """Lets threads use one thing in the order in which they asked.

    A thread that does its step goes on with those of the threads that wait, and these wait on
    while they have more to do. So the thing is used in one thread and on one core as long as
    there is work. Handing it from thread to thread instead cost 0.7 ms of an inference of 7 ms,
    mostly until the other thread got a core.

    Args:
        look_s: Who waits looks so often whether to give up.
    """

    def __init__(self, look_s: float = _LOOK_S) -> None:
        self._look_s = look_s
        self._lock = Lock()
        self._led = False
        self._waiting: deque[Turn] = deque()

    def take(self, turn: Turn, give_up: Callable[[], bool]) -> bool:
        """Wait until at least one step of a turn is done, here or in another thread.

        Args:
            turn: The caller's; ready.
            give_up: Asked every `look_s` seconds while the caller waits, and between steps while
                it does those of others; true ends that.

        Returns:
            Whether a step was done.

        Raises:
            BaseException: What the step raised.
        """
        with self._lock:
            leads = not self._led
            if leads:
                self._led = True
            else:
                self._waiting.append(turn)
        if not leads:
            if not self._wait(turn, give_up):
                return False
            if turn.error is not None:
                error, turn.error = turn.error, None
                raise error
            if not turn.leads:
                return True
            turn.leads = False
        self._lead(turn, give_up)
        return True

    def _wait(self, turn: Turn, give_up: Callable[[], bool]) -> bool:
        """Whether something came of the wait; False if it was given up."""
        while not turn.wait(self._look_s):
            if give_up():
                return self._leave(turn)
        return True

    def _leave(self, turn: Turn) -> bool:
        """Stop waiting; whether a step was done all the same."""
        with self._lock:
            if turn in self._waiting:
                self._waiting.remove(turn)
                return False
            turn.leaving = True
        # Its step is being done just now, or it was woken in the meantime.
        while not turn.wait(self._look_s):
            pass
        turn.leaving = False
        if not turn.leads:
            return True
        turn.leads = False
        self._pass_on()
        return False

    def _lead(self, own: Turn, give_up: Callable[[], bool]) -> None:
        """Do one's own step, and then whatever is waiting."""
        try:
            own.run()
            while not give_up():
                turn = self._next(own)
                if turn is None:
                    return
                if turn is own:
                    own.run()
                else:
                    self._serve(turn)
        except BaseException:
            self._pass_on(own)
            raise
        self._pass_on(own)

    def _next(self, own: Turn) -> Turn | None:
        """The turn whose step is next; where there is none, the caller no longer leads."""
        with self._lock:
            if own not in self._waiting and own.ready():
                if not self._waiting:
                    return own
                self._waiting.append(own)
            if self._waiting:
                return self._waiting.popleft()
            self._led = False
            return None

    def _serve(self, turn: Turn) -> None:
        """Do a step of another thread, which waits on if it has more of them."""
        try:
            turn.run()
        except BaseException as error:  # noqa: BLE001 - raised in the thread whose step it was
            turn.error = error
        with self._lock:
            if turn.error is None and not turn.leaving and turn.ready():
                self._waiting.append(turn)
                return
        turn.wake()

    def _pass_on(self, own: Turn | None = None) -> None:
        """Have the next one that waits go on, if there is one."""
        with self._lock:
            if own is not None and own in self._waiting:
                self._waiting.remove(own)
            if not self._waiting:
                self._led = False
                return
            turn = self._waiting.popleft()
            turn.leads = True
        turn.wake()
