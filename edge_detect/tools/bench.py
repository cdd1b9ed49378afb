"""Honest figures of one machine: every stage, and the whole against its physical limit.

The limit is the bare `invoke()` loop: nothing can detect faster than the interpreter
alone. Pipeline and bare loop alternate in short rounds, so that a machine which speeds up
or slows down meanwhile does so for both.
"""

import ctypes
import gc
import os
import platform
import resource
import statistics
import sys
import tempfile
import tracemalloc
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import av
import numpy as np

from edge_detect.core import NS_PER_MS, NS_PER_S, Image, Picture, Result, Size, monotonic_ns
from edge_detect.models import Detector, load_model
from edge_detect.pipeline import Pipeline
from edge_detect.render import Overlay
from edge_detect.sinks.encoder import Encoder, EncoderSettings
from edge_detect.sources import open_source

__all__ = ["BenchReport", "StageFigures", "measure", "scaled_clip"]

# Many short rounds: what disturbs the machine for a second spoils one or two of them.
_ROUNDS = 11
_HD = Size(1280, 720)
_WARMUP_FRAMES = 30
_STAGE_FRAMES = 300
_KEPT_RESULTS = 4


@dataclass(frozen=True, slots=True)
class StageFigures:
    """Durations of one stage in milliseconds."""

    n: int
    median: float
    p95: float
    p99: float

    @classmethod
    def of(cls, durations_ns: list[int]) -> "StageFigures":
        """Summarize raw durations in nanoseconds."""
        values = np.asarray(durations_ns, np.float64) / NS_PER_MS
        median, p95, p99 = (float(v) for v in np.percentile(values, [50, 95, 99]))
        return cls(len(durations_ns), median, p95, p99)


@dataclass(frozen=True, slots=True)
class BenchReport:
    """What was measured for one model.

    Attributes:
        model: Its name.
        runtime: Runtime and version.
        threads: Of the interpreter.
        machine: Processor and interpreter.
        stages_ms: Figures by stage: preprocess, invoke, postprocess, overlay, encode.
        bare_fps: Rate of the bare `invoke()` loop: the median of the rounds.
        end_to_end_fps: Rate of decode → detect → JSON lines in mode `every`, likewise.
        ratio: Median of the rounds' own ratios of the two.
        rss_mb: Resident memory at the end.
        heap_growth_kb: Growth of C heap and Python blocks over the last `heap_frames` frames.
        heap_frames: See there.
        allocated_kb_per_frame: Most memory that Python and NumPy held at once for one frame.
    """

    model: str
    runtime: str
    threads: int
    machine: str
    stages_ms: dict[str, StageFigures]
    bare_fps: float
    end_to_end_fps: float
    ratio: float
    rss_mb: float
    heap_growth_kb: float
    heap_frames: int
    allocated_kb_per_frame: float

    def as_json(self) -> dict[str, Any]:
        """As plain types, with the keys named after the attributes."""
        return asdict(self)


def measure(
    model: str, source: Path, *, threads: int = 1, runtime: str | None = None, frames: int = 1000
) -> BenchReport:
    """Measure one model on one video.

    Args:
        model: Name or path.
        source: A video; it is read in a loop, so any length does.
        threads: Of the interpreter.
        runtime: See `load_model`.
        frames: Frames of the end-to-end measurement in all, and at most of each stage.
    """
    with load_model(model, threads=threads, runtime=runtime) as detector:
        stage_frames = min(_STAGE_FRAMES, frames)
        stages, results = _measure_detection(detector, source, stage_frames)
        stages |= _measure_pictures(detector.labels, results, stage_frames)
        allocated = _allocated_per_frame(detector, [result.frame.image for result in results])
        bare, whole, growth, heap_frames = _measure_rates(detector, source, frames)
        return BenchReport(
            model=detector.name,
            runtime=detector.runtime,
            threads=detector.threads,
            machine=f"{_processor()}, Python {platform.python_version()}",
            stages_ms=stages,
            bare_fps=statistics.median(bare),
            end_to_end_fps=statistics.median(whole),
            ratio=statistics.median(w / b for w, b in zip(whole, bare, strict=True)),
            rss_mb=_rss_mb(),
            heap_growth_kb=growth,
            heap_frames=heap_frames,
            allocated_kb_per_frame=allocated,
        )


def scaled_clip(clip: Path, size: Size = _HD, seconds: float = 8) -> Path:
    """The beginning of a clip as H.264 of another size, made once a day in the temporary folder."""
    out = Path(tempfile.gettempdir()) / f"edge-detect-bench-{clip.stem}-{size}.mp4"
    with suppress(OSError):
        if out.stat().st_mtime >= clip.stat().st_mtime:
            return out
    part = out.with_suffix(f".{os.getpid()}.part.mp4")
    with av.open(str(clip)) as video, av.open(str(part), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"preset": "veryfast"})
        stream.width, stream.height, stream.pix_fmt = size.width, size.height, "yuv420p"
        for index, frame in enumerate(video.decode(video=0)):
            if index >= seconds * 25:
                break
            scaled = frame.reformat(size.width, size.height, "yuv420p")
            scaled.pts = index
            container.mux(stream.encode(scaled))
        container.mux(stream.encode(None))
    part.replace(out)
    return out


def _measure_detection(
    detector: Detector, source: Path, frames: int
) -> tuple[dict[str, StageFigures], list[Result]]:
    """Detect in frames as they come out of the decoder; some results are kept."""
    preprocess, invoke, postprocess = [], [], []
    results: list[Result] = []
    buffer = detector.new_buffer()
    with open_source(f"file://{source}?loop=true", paced=False) as video:
        for number in range(_WARMUP_FRAMES + frames):
            frame = video.read()
            if frame is None:
                break
            detector.prepare(frame.image, buffer)
            detections, timings = detector.run(buffer)
            if number < _WARMUP_FRAMES:
                continue
            preprocess.append(timings.preprocess_ns)
            invoke.append(timings.invoke_ns)
            postprocess.append(timings.postprocess_ns)
            if len(results) < _KEPT_RESULTS:
                results.append(Result(frame, detections, timings))
    return {
        "preprocess": StageFigures.of(preprocess),
        "invoke": StageFigures.of(invoke),
        "postprocess": StageFigures.of(postprocess),
    }, results


def _measure_pictures(
    labels: tuple[str, ...], results: list[Result], frames: int
) -> dict[str, StageFigures]:
    """Draw and encode."""
    drawing, encoding = [], []
    overlay, image = Overlay(labels), np.empty_like(results[0].frame.image)
    encoder = Encoder(EncoderSettings(), 25.0)
    encoder.subscribe(lambda _: None)
    for number in range(_WARMUP_FRAMES + frames):
        result = results[number % len(results)]
        frame = replace(result.frame, captured_ns=(number + 1) * NS_PER_S // 25)
        started_ns = monotonic_ns()
        np.copyto(image, frame.image)
        overlay.draw(image, result.detections, "30.0 fps  10 ms")
        drawn_ns = monotonic_ns()
        encoder.write(Picture(frame, image, result))
        encoded_ns = monotonic_ns()
        if number >= _WARMUP_FRAMES:
            drawing.append(drawn_ns - started_ns)
            encoding.append(encoded_ns - drawn_ns)
    return {"overlay": StageFigures.of(drawing), "encode": StageFigures.of(encoding)}


def _measure_rates(
    detector: Detector, source: Path, frames: int
) -> tuple[list[float], list[float], float, int]:
    """Alternate the pipeline with the bare loop, round by round."""
    per_round = max(1, frames // _ROUNDS)
    bare: list[float] = []
    whole: list[float] = []
    heap = 0.0
    with tempfile.TemporaryDirectory() as folder:
        lines = Path(folder) / "bench.jsonl"
        for number in range(_ROUNDS + 1):
            bare.append(_bare_rate(detector, per_round))
            whole.append(_pipeline_rate(detector, source, lines, per_round))
            if number == 0:
                heap = _heap_kb()
        growth = _heap_kb() - heap
    # The first round has warmed caches, pools and the processor's clock.
    return bare[1:], whole[1:], growth, (per_round + _WARMUP_FRAMES) * _ROUNDS


def _pipeline_rate(detector: Detector, source: Path, lines: Path, frames: int) -> float:
    """Frames per second of decode, detect and JSON lines, once the stages are filled."""
    moments = []
    with Pipeline(
        f"file://{source}?loop=true", model=detector, sinks=[lines], mode="every"
    ) as pipeline:
        pipeline.start()
        detected = pipeline.statistics.rates["detected"]
        for wanted in (_WARMUP_FRAMES, _WARMUP_FRAMES + frames):
            while detected.count < wanted and not pipeline.wait(0.002):
                pass
            moments.append((monotonic_ns(), detected.count))
    (first_ns, first), (last_ns, last) = moments
    return (last - first) * NS_PER_S / (last_ns - first_ns)


def _bare_rate(detector: Detector, frames: int) -> float:
    started_ns = monotonic_ns()
    for _ in range(frames):
        detector.invoke()
    return frames * NS_PER_S / (monotonic_ns() - started_ns)


def _allocated_per_frame(detector: Detector, images: list[Image]) -> float:
    buffer = detector.new_buffer()
    peaks: list[int] = []
    tracemalloc.start()
    try:
        for image in images:
            before, _ = tracemalloc.get_traced_memory()
            tracemalloc.reset_peak()
            detector.prepare(image, buffer)
            detector.run(buffer)
            peaks.append(tracemalloc.get_traced_memory()[1] - before)
    finally:
        tracemalloc.stop()
    # The first frame of a size lays the padding out; that is not the steady state.
    return max(peaks[1:] or peaks) / 1024


class _Mallinfo2(ctypes.Structure):
    _fields_ = tuple(
        (name, ctypes.c_size_t)
        for name in (
            "arena", "ordblks", "smblks", "hblks", "hblkhd",
            "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost",
        )
    )  # fmt: skip


def _heap_kb() -> float:
    """What is in use of the C heap and, as Python's small blocks lie elsewhere, of those."""
    gc.collect()
    libc = ctypes.CDLL(None)
    libc.mallinfo2.restype = _Mallinfo2
    info = libc.mallinfo2()
    return float(info.uordblks + info.hblkhd + sys.getallocatedblocks() * 64) / 1024


def _rss_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def _processor() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith(("model name", "Model")):
                return line.split(":", 1)[1].strip()
    return platform.machine()
