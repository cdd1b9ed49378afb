"""What every sink of results offers."""

from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self

from edge_detect.core import Image, Result, Size

__all__ = ["Sink"]


class Sink(ABC):
    """Takes one result after another, all from one thread.

    Attributes:
        name: Path, or URL without credentials.
        wants_picture: Whether `write` needs the annotated picture; when no sink does,
            nothing is drawn.
    """

    name: str
    wants_picture: bool

    @abstractmethod
    def open(self, size: Size, fps: float | None) -> None:
        """Get ready; called once, before the first `write`.

        Args:
            size: Size of the first frame.
            fps: Nominal rate of the source; None where it is not known.

        Raises:
            SinkError: The output cannot be made.
        """

    @abstractmethod
    def write(self, result: Result, picture: Image | None) -> None:
        """Put one result out.

        Args:
            result: What was found in a frame.
            picture: The annotated frame, (height, width, 3) uint8 B, G, R, only read and
                not kept; None for sinks that want none.

        Raises:
            SinkError: The output cannot be written.
        """

    @abstractmethod
    def close(self) -> None:
        """Finish and let go; may be called twice, and without `open`.

        Raises:
            SinkError: The last data could not be written.
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
