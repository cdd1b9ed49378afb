"""How long to wait before something is tried again."""

import random

__all__ = ["Backoff"]


class Backoff:
    """Waiting times that double up to a limit, with jitter.

    The jitter keeps many clients that lost the same server from coming back in step: each
    wait lies between half of the nominal time and the whole ("equal jitter", M. Brooker,
    "Exponential Backoff and Jitter", 2015).

    Args:
        first_s: Nominal first wait.
        limit_s: The nominal wait never grows beyond this.
    """

    def __init__(self, first_s: float = 0.5, limit_s: float = 30.0) -> None:
        if not 0 < first_s <= limit_s:
            raise ValueError(f"need 0 < first_s <= limit_s, got {first_s} and {limit_s}")
        self._first_s = first_s
        self._limit_s = limit_s
        self._nominal_s = first_s

    def next_s(self) -> float:
        """Seconds to wait now; the nominal time doubles for the next call."""
        nominal = self._nominal_s
        self._nominal_s = min(self._limit_s, nominal * 2)
        return nominal * (0.5 + random.random() / 2)

    def reset(self) -> None:
        """Start over: what was tried has worked."""
        self._nominal_s = self._first_s
