"""Signals as something to wait for."""

import os
import signal
import threading

from edge_detect.service.signals import Signals


def test_a_storm_of_reloads_counts_once_and_keeps_no_stop_waiting():
    with Signals([signal.SIGTERM, signal.SIGHUP]) as signals:
        for _ in range(50):
            # A thread's own signal is there as soon as the call returns.
            signal.pthread_kill(threading.get_ident(), signal.SIGHUP)
        os.kill(os.getpid(), signal.SIGTERM)
        assert signals.wait(5) == signal.SIGTERM
        assert signals.wait(5) == signal.SIGHUP
        assert signals.wait(0) is None


def test_a_stop_that_comes_during_a_reload_is_next():
    with Signals([signal.SIGTERM, signal.SIGHUP]) as signals:
        os.kill(os.getpid(), signal.SIGHUP)
        assert signals.wait(5) == signal.SIGHUP
        os.kill(os.getpid(), signal.SIGHUP)
        os.kill(os.getpid(), signal.SIGTERM)
        assert signals.wait(5) == signal.SIGTERM
