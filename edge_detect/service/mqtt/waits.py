"""How long things take by which something is judged."""

from dataclasses import dataclass

__all__ = ["Waits"]


@dataclass(slots=True, frozen=True)
class Waits:
    """Times, all in seconds.

    Attributes:
        tick_s: Between two looks at what has changed though nothing was seen.
        forget_s: A camera that is removed may come back at once, changed, or the whole program
            may end: only what has been gone for so long is to vanish from Home Assistant.
        survey_s: The broker sends what it keeps at once, and ends without a word: so long after
            the last of it everything has come. What we publish meanwhile comes back as well.
        echo_s: What we publish comes back within this time, if it is let through.
        retry_s: The first wait before another try to connect; it doubles each time.
    """

    tick_s: float = 1.0
    forget_s: float = 3.0
    survey_s: float = 3.0
    echo_s: float = 10.0
    retry_s: float = 0.5
