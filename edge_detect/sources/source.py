"""What every source of frames offers."""

from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self

from edge_detect.core import Frame, Size

__all__ = ["Source"]


class Source(ABC):
    """Gives one frame after another; the constructor opens it.

    A live source that is lost (unplugged, disconnected, silent for seconds) says so with a
    transient `SourceError`; the pipeline then closes it and opens a new one after a while. So
    a source itself never tries again. The constructor never waits for a network: connecting
    is a part of the first `read`, which `close` ends.

    Attributes:
        name: Path, or URL without credentials.
        size: Size of the first frame; later ones may differ and say so themselves. None
            where the first frame is yet to come, as from a network stream.
        fps: Nominal rate; None where the source does not know.
        live: Whether a clock sets the pace. Frames not taken in time are then late or lost;
            otherwise the source waits for its reader.
    """

    name: str
    size: Size | None
    fps: float | None
    live: bool

    @property
    def resting(self) -> bool:
        """Whether `read` holds a frame back until its time has come; from any thread."""
        return False

    @abstractmethod
    def read(self) -> Frame | None:
        """Wait for the next frame.

        Returns:
            The frame, or None at the end and after `close()`.

        Raises:
            SourceError: No more frames can be had, for a reason that is not the end.
        """

    @abstractmethod
    def close(self) -> None:
        """Let go of file or device. May be called twice, and from another thread.

        A `read()` that is waiting then returns within half a second.
        """

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
