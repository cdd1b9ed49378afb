"""The commands that measure, tune and look after things, for the command line."""

from pathlib import Path
from typing import TYPE_CHECKING

from edge_detect.app.arguments import picture_size, positive_float, positive_int
from edge_detect.models.default import CPU_DEFAULT

__all__ = ["add_tools"]

if TYPE_CHECKING:
    from edge_detect.app.arguments import Commands


def add_tools(commands: "Commands") -> None:
    """Add them, each with its options."""
    _add_devices(commands)
    _add_tune(commands)
    _add_bench(commands)
    _add_latency(commands)
    _add_report(commands)
    _add_warmup(commands)
    _add_doctor(commands)


def _add_devices(commands: "Commands") -> None:
    devices = commands.add_parser(
        "devices",
        help="list what models can run on here",
        description="List the processor, Edge TPUs and GPUs of this computer, whether models can "
        "run on them, and what to do where they cannot.",
    )
    devices.add_argument(
        "--library", metavar="PATH", help="of Edge TPUs (default: libedgetpu.so.1)"
    )
    devices.add_argument("--json", action="store_true", help="print one JSON object")
    devices.set_defaults(work=("edge_detect.app.devices", "devices"))


def _add_tune(commands: "Commands") -> None:
    tune = commands.add_parser(
        "tune",
        help="find the best number of threads for this board, once after installing",
        description="Measure each model with 1, 2, … threads on this board, and write the best "
        "number down: models are loaded with it from then on.",
    )
    tune.add_argument(
        "--model", action="append", metavar="NAME", help="may be repeated (default: the bundled)"
    )
    tune.add_argument("--dry-run", action="store_true", help="measure, and write nothing")
    tune.add_argument(
        "--force", action="store_true", help="write even if other programs were busy meanwhile"
    )
    tune.add_argument("--json", action="store_true", help="print one JSON object a model")
    tune.set_defaults(work=("edge_detect.app.tune", "tune"))


def _add_bench(commands: "Commands") -> None:
    bench = commands.add_parser(
        "bench",
        help="measure speed on this machine",
        description="Measure every stage, and the whole pipeline against the bare interpreter; or, "
        "with --accelerator, each model on each accelerator, and whether it finds there what the "
        "CPU finds.",
    )
    bench.add_argument(
        "--model",
        metavar="NAME",
        help=f"or all that are here (default: {CPU_DEFAULT} and yolov3-tiny-coco)",
    )
    bench.add_argument(
        "--accelerator",
        action="append",
        metavar="NAME",
        help="measure models on this, beside the CPU: gpu, edgetpu, edgetpu:usb:0 …, or all; "
        "several with commas",
    )
    bench.add_argument("--library", metavar="PATH", help="of Edge TPUs (default: libedgetpu.so.1)")
    bench.add_argument(
        "--source", metavar="FILE", help="a video (default: the bundled clip, scaled to 720p)"
    )
    bench.add_argument(
        "--threads",
        type=positive_int,
        metavar="N",
        help="default: 1; with --accelerator, as many as models get on this computer",
    )
    bench.add_argument("--runtime", choices=["litert", "tflite-runtime"])
    bench.add_argument(
        "--frames",
        type=positive_int,
        metavar="N",
        help="frames of each measurement (default: 2200; with --accelerator 300)",
    )
    bench.add_argument("--json", action="store_true", help="print one JSON object a line")
    bench.set_defaults(work=("edge_detect.app.bench", "bench"))


def _add_latency(commands: "Commands") -> None:
    latency = commands.add_parser(
        "latency",
        help="measure how old the picture is that a viewer sees",
        description="Serve a synthetic camera that shows its clock over RTSP on this computer, "
        "read it back in another process, and compare: the delay from the sensor to a "
        "viewer's pixels, stage by stage.",
    )
    latency.add_argument("--model", metavar="NAME", help="default: as for `run`")
    latency.add_argument("--threads", type=positive_int, default=1, metavar="N", help="default: 1")
    latency.add_argument("--runtime", choices=["litert", "tflite-runtime"])
    latency.add_argument(
        "--size", type=picture_size, default="1280x720", metavar="WxH", help="default: 1280x720"
    )
    latency.add_argument("--fps", type=positive_float, default=30.0, help="default: 30")
    latency.add_argument(
        "--duration", type=positive_float, default=20.0, metavar="S", help="default: 20"
    )
    latency.add_argument(
        "--warmup",
        type=positive_float,
        default=3.0,
        metavar="S",
        help="seconds before the measurement begins (default: 3)",
    )
    latency.add_argument(
        "--client",
        choices=["own", "gstreamer"],
        default="own",
        help="what reads the stream: this program's own source, or GStreamer (default: own)",
    )
    latency.add_argument("--json", action="store_true", help="print one JSON object")
    latency.set_defaults(work=("edge_detect.app.latency", "latency"))


def _add_report(commands: "Commands") -> None:
    report = commands.add_parser(
        "report",
        help="how available, fast and late the cameras of the daemon were",
        description="Sum up what `edge-detect run --config` has written down: availability, "
        "rates and delays of each camera, the worst minutes, restarts and reconnects.",
    )
    report.add_argument(
        "--since",
        default="24h",
        metavar="WHEN",
        help="24h, 7d, 2026-05-01 or '2026-05-01 14:30' (default: 24h)",
    )
    report.add_argument("--until", metavar="WHEN", help="as --since (default: now)")
    report.add_argument(
        "--camera", action="append", metavar="NAME", help="this one alone; may be repeated"
    )
    report.add_argument(
        "--dir",
        type=Path,
        metavar="DIR",
        help="where the history lies (default: /var/lib/edge-detect/metrics, else "
        "~/.local/state/edge-detect/metrics)",
    )
    report.add_argument("--html", metavar="FILE", help="write one page with curves; - prints it")
    report.add_argument("--json", action="store_true", help="print one JSON object")
    report.set_defaults(work=("edge_detect.app.report", "report"))


def _add_warmup(commands: "Commands") -> None:
    warmup = commands.add_parser(
        "warmup", help="compile the post-processing, once after installing"
    )
    warmup.add_argument("--quiet", action="store_true", help="print nothing unless it fails")
    warmup.set_defaults(work=("edge_detect.app.warmup", "warmup"))


def _add_doctor(commands: "Commands") -> None:
    doctor = commands.add_parser(
        "doctor",
        help="look for what is missing, does not fit or is unwell on this computer",
        description="Look at the system, the packages, models, cameras, encoders, Edge TPUs, heat, "
        "power, disks and the service; print ok, warn or fail for each, and what to do. The exit "
        "status is 0 if nothing fails.",
    )
    doctor.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="of the service (default: /etc/edge-detect/config.toml, if it is there)",
    )
    doctor.add_argument(
        "--patience",
        type=positive_float,
        default=1.0,
        metavar="N",
        help="wait N times as long for each answer, on a very slow or emulated machine",
    )
    doctor.add_argument("--json", action="store_true", help="print one JSON object")
    doctor.set_defaults(work=("edge_detect.app.doctor", "doctor"))
