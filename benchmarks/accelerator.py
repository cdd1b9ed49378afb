"""What is lost beside an accelerator that takes 7 ms and no processor.

    python benchmarks/accelerator.py [--ms 7] [--frames 2000]

A library that stands in for libedgetpu.so.1 (tests/fakes/edge_tpu) sleeps so long and answers with
what the CPU found in a real frame. Measured are the whole pipeline from a 720p video against the
most that the device could do (1000 / ms), and what the helper process adds to each inference.
"""

import argparse
import statistics
import sys
import tempfile
from pathlib import Path
from time import perf_counter_ns

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from support.stand_in import StandIn, compile_bundled, record_answer

from edge_detect.core import NS_PER_MS, NS_PER_S, Image, bundled_path, monotonic_ns
from edge_detect.models import Detector, load_model
from edge_detect.models.preprocess import InputWriter
from edge_detect.models.runtime import open_session
from edge_detect.pipeline import Pipeline
from edge_detect.sources import open_source
from edge_detect.tools.bench import scaled_clip

MODELS = ("ssdlite-mobilenet-v2-pedestrian", "yolov3-tiny-coco")
WARMUP_FRAMES = 100
ROUNDS = 5


def main() -> None:
    """Measure both bundled models."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--ms", type=float, default=7.0)
    parser.add_argument("--frames", type=int, default=2000)
    arguments = parser.parse_args()
    clip = scaled_clip(min(bundled_path("demo").glob("*.mp4")))
    with open_source(f"file://{clip}", paced=False) as video:
        image = video.read().image
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        stand_in = StandIn(folder)
        for model in MODELS:
            path = compile_bundled(folder, model)
            stand_in.tell(f"invoke_ms {arguments.ms}", record_answer(folder / model, model, image))
            print(f"{model}, 720p, {arguments.ms:g} ms on the device")
            with load_model(path, accelerator="edgetpu", library=str(stand_in.library)) as detector:
                show_rates(detector, clip, arguments)
                show_overhead(detector, path, stand_in, image)


def show_rates(detector: Detector, clip: Path, arguments: argparse.Namespace) -> None:
    """Frames per second of the whole pipeline, round by round."""
    most = 1000 / arguments.ms
    rates = [pipeline_rate(detector, clip, arguments.frames // ROUNDS) for _ in range(ROUNDS)]
    middle = statistics.median(rates)
    print(f"  {'most that the device can do':<32}{most:8.1f} fps")
    print(
        f"  {'whole pipeline, median':<32}{middle:8.1f} fps   ratio {middle / most:.3f}"
        f"   (rounds {min(rates) / most:.3f} to {max(rates) / most:.3f})"
    )


def pipeline_rate(detector: Detector, clip: Path, frames: int) -> float:
    """Frames per second, once the stages are filled."""
    with Pipeline(
        f"file://{clip}?loop=true", model=detector, sinks=["null://"], mode="every"
    ) as pipeline:
        pipeline.start()
        detected = pipeline.statistics.rates["detected"]
        moments = []
        for wanted in (WARMUP_FRAMES, WARMUP_FRAMES + frames):
            while detected.count < wanted:
                pipeline.wait(0.002)
            moments.append((monotonic_ns(), detected.count))
    (first_ns, first), (last_ns, last) = moments
    return (last - first) * NS_PER_S / (last_ns - first_ns)


def show_overhead(detector: Detector, path: Path, stand_in: StandIn, image: Image) -> None:
    """Write, infer and read one frame after another: in a helper, and in this process."""
    # One Edge TPU runs one model at a time.
    detector.close()
    twin = path.with_name(f"{path.stem}_edgetpu.tflite")
    delegate = (str(stand_in.library), {"device": "usb:0"})
    options = {"accelerator": "edgetpu", "library": str(stand_in.library)}
    with load_model(path, **options) as helped, open_session(twin, delegate=delegate) as alone:
        buffer = helped.new_buffer()
        helped.prepare(image, buffer)
        helper = helped.lanes.engine.session
        writer = InputWriter(helped.spec.input, helper.inputs[0].dtype)
        times = {"in a helper": [], "in this process": []}
        for _ in range(20):
            for session, kept in zip((helper, alone), times.values(), strict=True):
                for _ in range(20):
                    begin_ns = perf_counter_ns()
                    writer.write(buffer.pixels, session.input_view(0))
                    session.begin(0)
                    session.finish(0)
                    kept.append((perf_counter_ns() - begin_ns) / NS_PER_MS)
    medians = {name: statistics.median(kept) for name, kept in times.items()}
    for name, median in medians.items():
        print(f"  {'one inference ' + name:<32}{median:8.3f} ms")
    overhead = medians["in a helper"] - medians["in this process"]
    print(f"  {'what the helper adds':<32}{overhead:8.3f} ms")


if __name__ == "__main__":
    main()
