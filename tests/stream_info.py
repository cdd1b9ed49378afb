"""What sinks are told about a pipeline, for tests that have none."""

from collections.abc import Callable

from edge_detect.core import PipelineStatus, Size, SourceStatus
from edge_detect.core.status import ModelStatus
from edge_detect.sinks import Encoders, StreamInfo


def stream_of(
    size: Size | None = None,
    fps: float | None = None,
    encoded: Callable[[int], None] = lambda _: None,
) -> StreamInfo:
    """A stream whose source is live and whose figures are all at their beginning."""
    report = PipelineStatus(
        elapsed_s=1.0,
        mode="live",
        overlay="latest",
        source=SourceStatus("test", "live", 1.0, size=size, fps=fps),
        model=ModelStatus("test-model", Size(300, 300), "litert", 1, 0.5),
    )
    return StreamInfo(size, fps, Encoders(fps), lambda: report, encoded)
