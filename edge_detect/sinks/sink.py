"""What every sink offers, and what it is told about the pipeline that it serves."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from edge_detect.core import Picture, PipelineStatus, Result, Size
from edge_detect.sinks.encoder import Encoders

__all__ = ["Sink", "StreamInfo"]


@dataclass(slots=True, frozen=True)
class StreamInfo:
    """What a sink learns about the pipeline when it is opened.

    Attributes:
        size: Size of the first frame; None where none has come yet.
        fps: Nominal rate of the source; None where it is not known.
        encoders: Where H.264 encoders come from, so that sinks that want the same share one.
        report: Gives the state of the whole pipeline; cheap enough for ten calls a second.
        encoded: To be called with `frame.captured_ns` whenever a picture left the sink's
            encoder; feeds the sink's rate and its capture-to-encode times.
    """

    size: Size | None
    fps: float | None
    encoders: Encoders
    report: Callable[[], PipelineStatus]
    encoded: Callable[[int], None]


class Sink(ABC):
    """Takes results, annotated pictures, or both; all `write_*` come from one thread.

    A sink that raises a transient `SinkError` from `open` or a `write_*` is closed, and
    opened again after a while, as long as the pipeline runs; the other sinks go on. So
    `open` may follow `close`.

    Attributes:
        name: URL or path, without credentials.
        takes_results: Whether `write_result` is called, for each frame that was detected.
        takes_pictures: Whether `write_picture` is called while `wants_picture` says so.
        writes_file: Whether `name` is the path of something that remains.
        listed: Whether users are told of it.
    """

    name: str
    takes_results: bool = False
    takes_pictures: bool = False
    writes_file: bool = False
    listed: bool = True

    @property
    def wants_picture(self) -> bool:
        """Whether a picture would be of use now; when no sink says so, nothing is drawn.

        Asked for every frame, from another thread.
        """
        return self.takes_pictures

    @property
    def viewers(self) -> int | None:
        """How many clients look at it; None where nobody can tell."""
        return None

    @property
    def dropped(self) -> int:
        """Encoded pictures that it left out itself because something behind it was too slow."""
        return 0

    @abstractmethod
    def open(self, stream: StreamInfo) -> None:
        """Get ready; called before the first `write_*`.

        Raises:
            SinkError: The output cannot be made.
        """

    def write_result(self, result: Result) -> None:  # noqa: B027 - most sinks take one kind
        """Put out what was found in a frame.

        Raises:
            SinkError: The output cannot be written.
        """

    def write_picture(self, picture: Picture) -> None:  # noqa: B027 - most sinks take one kind
        """Put out an annotated frame.

        Raises:
            SinkError: The output cannot be written.
        """

    @abstractmethod
    def close(self) -> None:
        """Finish and let go; may be called twice, without `open`, and from another thread.

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
