"""Everything that can go wrong for a user, as one tree.

    EdgeDetectError             1   anything below
    ├── ConfigError            78   an option, URL or file that says something impossible
    ├── SourceError            66   a camera, file or stream that gives no frames
    ├── ModelError             65   a model or manifest that cannot be used as it is
    ├── AcceleratorError       71   an Edge TPU or GPU that is missing, or failed
    ├── DownloadError          69   a model file that could not be fetched
    ├── DependencyError        72   a package or system library that is missing or does not fit
    ├── SinkError              74   an output that cannot be written
    └── StageError             70   a defect in a stage: an exception nobody foresaw

The number is the exit status of the command line (the meanings of sysexits.h).
The message is the fact, the hint is the action that mends it.
"""

from typing import ClassVar

__all__ = [
    "AcceleratorError",
    "ConfigError",
    "DependencyError",
    "DownloadError",
    "EdgeDetectError",
    "ModelError",
    "SinkError",
    "SourceError",
    "StageError",
]


class EdgeDetectError(Exception):
    """The root of all errors raised on purpose.

    Args:
        message: The fact, in one line, without a full stop.
        hint: What the user can do about it; empty when nothing is known.
        transient: Whether trying again later may succeed. Defaults to the class's word.

    Attributes:
        stage: The stage of a pipeline in which it happened; empty elsewhere.
    """

    exit_code: ClassVar[int] = 1
    transient_by_default: ClassVar[bool] = False

    def __init__(self, message: str, hint: str = "", *, transient: bool | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.transient = self.transient_by_default if transient is None else transient
        self.stage = ""

    def said_of(self, name: str) -> str:
        """Message and hint in one line that names what it is about, once."""
        said = self.message if name in self.message else f"{name}: {self.message}"
        return f"{said} ({self.hint})" if self.hint else said

    def __str__(self) -> str:
        where = f"{self.stage}: " if self.stage else ""
        hint = f"\n  hint: {self.hint}" if self.hint else ""
        return f"{where}{self.message}{hint}"


class ConfigError(EdgeDetectError):
    """An option, URL or configuration file says something impossible."""

    exit_code = 78


class SourceError(EdgeDetectError):
    """A camera, file or stream cannot be opened or stopped giving frames."""

    exit_code = 66


class ModelError(EdgeDetectError):
    """A model file or its manifest cannot be used as it is."""

    exit_code = 65


class AcceleratorError(EdgeDetectError):
    """An Edge TPU or a GPU is missing, or failed while it was used."""

    exit_code = 71
    transient_by_default = True


class DownloadError(EdgeDetectError):
    """A model file could not be fetched."""

    exit_code = 69
    transient_by_default = True


class DependencyError(EdgeDetectError):
    """A package or system library is missing or does not fit the others."""

    exit_code = 72


class SinkError(EdgeDetectError):
    """An output cannot be opened or written."""

    exit_code = 74


class StageError(EdgeDetectError):
    """A stage of the pipeline failed with an exception nobody foresaw."""

    exit_code = 70
