"""An interpreter that fails in the way that `FAILS_BY` names: a signal, `hang` or `error`."""

import os
import signal


class Interpreter:
    """Fails before there is one."""

    def __init__(self, **_):
        how = os.environ["FAILS_BY"]
        if how == "hang":
            signal.pause()
        if how == "error":
            raise SystemError("the runtime gave up")
        os.kill(os.getpid(), signal.Signals[how])
