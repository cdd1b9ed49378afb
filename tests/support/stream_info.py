"""What sinks are told about a pipeline, for tests that have none."""

from collections.abc import Callable

from edge_detect.core import PipelineStatus, Size, SourceStatus
from edge_detect.core.status import ModelStatus, SourceState
from edge_detect.sinks import Encoders, StreamInfo


def stream_of(
    size: Size | None = None,
    fps: float | None = None,
    *,
    state: Callable[[], SourceState] = lambda: "live",
    encoders: Encoders | None = None,
    encoded: Callable[[int], None] = lambda _: None,
) -> StreamInfo:
    """A stream whose source is in the given state, and whose figures are at their beginning."""

    def report() -> PipelineStatus:
        return PipelineStatus(
            elapsed_s=1.0,
            mode="live",
            overlay="latest",
            source=SourceStatus("test", state(), 1.0, size=size, fps=fps),
            model=ModelStatus("test-model", Size(300, 300), "litert", 1, 0.5),
        )

    return StreamInfo(size, fps, encoders or Encoders(fps), report, encoded)
