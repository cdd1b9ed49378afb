"""When the pictures of a network stream were taken, and whether decoding keeps up."""

from edge_detect.core import NS_PER_MS, NS_PER_S

__all__ = ["ArrivalClock", "Backlog"]

# The fastest packet of the last five to ten seconds counts as undelayed. Clocks of cameras
# drift by 0.1 ms a second at most, which this forgets before it matters.
_WINDOW_NS = 5 * NS_PER_S


class ArrivalClock:
    """Capture times from moments of arrival, smoothed by the stream's own time stamps.

    A packet cannot come before its picture was taken, but it can come late. So the least
    difference of arrival and stamp of late tells how the stream's clock stands to ours (a
    minimum filter, as in clock synchronisation by D. Mills, "Internet Time Synchronization:
    the Network Time Protocol", 1991, section 4), and every other packet's excess is its
    delay. The unknown constant part, exposure to fastest arrival, stays in.

    Args:
        longest_delay_ns: A greater difference means that the stamps have jumped.
    """

    def __init__(self, longest_delay_ns: int) -> None:
        self._longest_ns = longest_delay_ns
        self._window_end_ns = 0
        self._offsets: tuple[int, int] | None = None
        self._last_ns = -1

    def captured_ns(self, arrived_ns: int, stamp_ns: int | None) -> int:
        """The capture time of the next picture.

        Args:
            arrived_ns: CLOCK_MONOTONIC when its last packet came; never less than before.
            stamp_ns: On the stream's clock; None where there is no stamp to be trusted.

        Returns:
            CLOCK_MONOTONIC, at most `arrived_ns` and at least one more than the last one,
            unless both cannot be: then the latter.
        """
        captured = arrived_ns if stamp_ns is None else self._smoothed(arrived_ns, stamp_ns)
        self._last_ns = max(captured, self._last_ns + 1)
        return self._last_ns

    def _smoothed(self, arrived_ns: int, stamp_ns: int) -> int:
        offset = arrived_ns - stamp_ns
        if self._offsets is None or offset - min(self._offsets) > self._longest_ns:
            self._offsets = (offset, offset)
            self._window_end_ns = arrived_ns + _WINDOW_NS
        elif arrived_ns >= self._window_end_ns:
            self._offsets = (self._offsets[1], offset)
            self._window_end_ns = arrived_ns + _WINDOW_NS
        else:
            self._offsets = (self._offsets[0], min(self._offsets[1], offset))
        return stamp_ns + min(self._offsets)


class Backlog:
    """Notices that packets come faster than they are decoded, and says which to leave out.

    A reader that keeps up waits for most packets. One that never waits has a backlog before
    it, in the socket and the camera, which only grows. Then packets are left out undecoded
    until one had to be waited for, and decoding goes on with a key frame.
    """

    # Asking for a packet that is there takes less than this, also on a Raspberry Pi.
    _WAITED_NS = 2 * NS_PER_MS
    # How long there must have been next to no waiting, and what part of it is next to none.
    _PATIENCE_NS = NS_PER_S
    _LEAST_WAITING = 0.02
    # A server that sends without any pace never lets us wait; some of it is shown anyway.
    _LONGEST_SKIP_NS = NS_PER_S

    def __init__(self) -> None:
        self._since_ns = -1
        self._waiting_ns = 0
        self._skipping = False

    def leave_out(self, asked_ns: int, arrived_ns: int, *, key: bool) -> bool:
        """Whether the packet that has come is to be left out.

        Args:
            asked_ns: CLOCK_MONOTONIC when the packet was asked for.
            arrived_ns: When it was there.
            key: Whether decoding can begin with it.
        """
        if self._since_ns < 0:
            self._since_ns = asked_ns
        waited_ns = arrived_ns - asked_ns
        if waited_ns > self._WAITED_NS:
            self._waiting_ns += waited_ns
        elapsed_ns = arrived_ns - self._since_ns
        if self._skipping:
            caught_up = self._waiting_ns > 0 or elapsed_ns > self._LONGEST_SKIP_NS
            if key and caught_up:
                self._restart(arrived_ns, skipping=False)
        elif elapsed_ns > self._PATIENCE_NS:
            behind = self._waiting_ns < self._LEAST_WAITING * elapsed_ns
            self._restart(arrived_ns, skipping=behind)
        return self._skipping

    def _restart(self, now_ns: int, *, skipping: bool) -> None:
        self._since_ns, self._waiting_ns, self._skipping = now_ns, 0, skipping
