"""How long the server and its clients are waited for."""

from dataclasses import dataclass

__all__ = ["Timeouts"]


@dataclass(slots=True, frozen=True)
class Timeouts:
    """The times after which a page stops waiting, in seconds.

    Attributes:
        request_s: For the rest of a request, from the moment at which one is expected.
        stuck_s: For a client that reads nothing; then it is cut off.
        snapshot_s: For a picture after a request for one.
        silence_s: For the next event of a stream; then a comment keeps the connection alive.
            Proxies cut connections that are silent for a minute.
        stop_s: For the end of the server's thread.
    """

    request_s: float = 5.0
    stuck_s: float = 15.0
    snapshot_s: float = 2.0
    silence_s: float = 5.0
    stop_s: float = 1.0
