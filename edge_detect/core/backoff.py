"""How long to wait before something is tried again."""

import random

from edge_detect.core.clock import NS_PER_S

__all__ = ["Backoff"]

# What lasted so long was a good connection; less may be a server that drops everybody at once.
_GOOD_NS = 10 * NS_PER_S


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

    def worked_for(self, lasted_ns: int) -> None:
        """Start over with short waits if what was tried had worked for ten seconds.

        Args:
            lasted_ns: From its success to its failure.
        """
        if lasted_ns > _GOOD_NS:
            self._nominal_s = self._first_s
