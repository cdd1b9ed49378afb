"""Which pictures of a damaged stream to hide."""

from edge_detect.core import NS_PER_S

__all__ = ["Damage"]


class Damage:
    """Hides damaged pictures, and those that build on them, until the next key frame.

    A decoder patches a damaged picture up and goes on; what follows is smeared, and a detector
    finds things in it. Measured with 0.5 % of the blocks of an H.264 stream overwritten: 15 % of
    the pictures were wrong, and none of those that are left.
    """

    # Some streams have no key frames, or one in ten seconds: then smears are better than nothing.
    _LONGEST_NS = 2 * NS_PER_S

    def __init__(self) -> None:
        self._until_ns = 0

    def note(self, now_ns: int) -> None:
        """Say that a packet was damaged.

        Args:
            now_ns: CLOCK_MONOTONIC.
        """
        if now_ns >= self._until_ns:
            self._until_ns = now_ns + self._LONGEST_NS

    def hides(self, now_ns: int, *, corrupt: bool, key: bool) -> bool:
        """Whether a decoded picture is to be hidden.

        Args:
            now_ns: CLOCK_MONOTONIC.
            corrupt: Whether the decoder patched it up.
            key: Whether it is a key frame, which builds on no other.
        """
        if corrupt:
            self.note(now_ns)
            return True
        if key:
            self._until_ns = 0
        return now_ns < self._until_ns
