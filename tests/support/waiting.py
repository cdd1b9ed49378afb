"""Waiting for a condition instead of sleeping for luck, and telling a hang from a busy machine."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

# What hangs in a test hangs for at least `HANG_S`. What must not wait for it has ended within
# `PROMPT_S`, however busy the machine is.
HANG_S = 90.0
PROMPT_S = 20.0


def wait_for(condition: Callable[[], object], seconds: float = 30) -> None:
    """Return as soon as the condition holds; fail when it does not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"it did not happen within {seconds:g} s"
        time.sleep(0.005)


@contextmanager
def promptly(seconds: float = PROMPT_S) -> Iterator[None]:
    """Fail when the block takes as long as if it waited for what hangs.

    This is no measurement of speed: the limit is far above what a busy machine needs, and far
    below the time for which the test has something hang.
    """
    began = time.monotonic()
    yield
    took = time.monotonic() - began
    assert took < seconds, f"it took {took:.1f} s, as if it waited for what hangs"
