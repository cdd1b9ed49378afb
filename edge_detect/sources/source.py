"""What every source of frames offers."""

from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self

from edge_detect.core import Frame, Size

__all__ = ["Source"]


class Source(ABC):
    """Gives one frame after another; the constructor opens it.

    Attributes:
        name: Path, or URL without credentials.
        size: Size of the first frame; later ones may differ and say so themselves.
        fps: Nominal rate; None where the source does not know.
        live: Whether a clock sets the pace. Frames not taken in time are then late or lost;
            otherwise the source waits for its reader.
    """

    name: str
    size: Size
    fps: float | None
    live: bool

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
