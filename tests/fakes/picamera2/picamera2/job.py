"""Operations that the camera's event loop performs."""

from concurrent.futures import CancelledError, Future


class Job:
    """Functions that are tried at each turn of the event loop until they are done."""

    def __init__(self, functions, signal_function=None):
        self._functions = functions
        self._future = Future()
        self._future.set_running_or_notify_cancel()
        self._signal_function = signal_function
        self._result = None

    def execute(self):
        """Try once; whether it is finished."""
        try:
            while self._functions:
                done, result = self._functions[0]()
                if not done:
                    break
                self._functions.pop(0)
                self._result = result
        except Exception as error:  # noqa: BLE001
            self._future.set_exception(error)
            self._functions = []
        return not self._functions

    def signal(self):
        """Tell those who wait."""
        if not self._future.done():
            self._future.set_result(self._result)
        if self._signal_function:
            self._signal_function(self)

    def get_result(self, timeout=None):
        """Wait for the result."""
        return self._future.result(timeout=timeout)

    def cancel(self):
        """Have `get_result` raise."""
        self._future.set_exception(CancelledError())
