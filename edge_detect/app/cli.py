"""The command line: what can be asked for. Each command's work is in a module of its own.

Only the module of the command that was asked for is imported: `--help` on a Pi should
not wait for NumPy.
"""

import argparse
import io
import os
import signal
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from edge_detect import __version__
from edge_detect.app.arguments import (
    PIXEL_BOXES,
    RELATIVE_BOXES,
    labels,
    positive_float,
    positive_int,
    probability,
)
from edge_detect.app.cli_convert import add_convert
from edge_detect.app.cli_models import add_file_actions
from edge_detect.app.cli_tools import add_tools
from edge_detect.core.errors import EdgeDetectError
from edge_detect.models.default import CPU_DEFAULT, EDGE_TPU_DEFAULT
from edge_detect.service.paths import DEFAULT_CONFIG

__all__ = ["main"]

_INTERRUPTED = 130  # as a shell says it for SIGINT


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: Arguments without the program's name; None takes those of the process.

    Returns:
        The exit status: 0, or the `exit_code` of the error that was printed.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Not every terminal knows arrows and blocks; within JSON this is even right.
        sys.stdout.reconfigure(errors="backslashreplace")
    parser = _parser()
    arguments = parser.parse_args(argv)
    if arguments.command is None:
        parser.print_help()
        return 0
    module, function = arguments.work
    try:
        work: Callable[[argparse.Namespace], int] = getattr(import_module(module), function)
        return work(arguments)
    except EdgeDetectError as error:
        print(f"edge-detect: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:
        # The reader of our output went away (`… | head`): not our error. Python would
        # complain once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="edge-detect",
        description="Real-time object detection for small computers with a camera.",
    )
    parser.add_argument("--version", action="version", version=f"edge-detect {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    _add_run(commands)
    _add_detect(commands)
    _add_models(commands)
    _add_config(commands)
    add_tools(commands)
    return parser


if TYPE_CHECKING:
    from edge_detect.app.arguments import Commands


def _add_run(commands: "Commands") -> None:
    run = commands.add_parser(
        "run",
        help="detect in a camera or video until it ends or Ctrl-C",
        description="Detect in a camera, video or stream until it ends or Ctrl-C. Without a "
        "source: the first camera, else the bundled clip in a loop.",
    )
    run.add_argument(
        "source",
        nargs="?",
        metavar="SOURCE",
        help="a URL (v4l2:///dev/video0, picamera2://, rtsp://…, http://…, "
        "file://clip.mp4?loop=true, synthetic://) or a path",
    )
    _add_model_options(run)
    run.add_argument(
        "--sink",
        action="append",
        metavar="URL",
        help="where results go, may be repeated: rtsp://:8554/live, http://:8080, mp4://DIR, "
        "rtsp-push://HOST:8554/PATH, out.mp4, out.jsonl, - (JSON lines on standard output), "
        "null:// (default: rtsp://:8554/live and http://:8080, for this computer only; for files "
        "output/edge-detect.mp4 and output/edge-detect.jsonl)",
    )
    run.add_argument(
        "--mode",
        choices=["live", "every"],
        help="live: at the source's own pace, newest frame wins; every: all frames, as fast as "
        "they can be had (default: live for cameras, every for files)",
    )
    run.add_argument(
        "--overlay",
        choices=["latest", "exact"],
        help="latest: every frame, with the newest boxes; exact: the detected frames, with "
        "their own (default: latest in mode live)",
    )
    run.add_argument(
        "--duration", type=positive_float, metavar="S", help="stop after so many seconds"
    )
    run.add_argument("--quiet", action="store_true", help="no status line every second")
    run.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="run as a service, with cameras, sinks and everything else from this file; "
        "no other option goes with it",
    )
    run.set_defaults(work=("edge_detect.app.run", "run"))


def _add_detect(commands: "Commands") -> None:
    detect = commands.add_parser(
        "detect",
        help="detect in photos",
        description="Detect in photos, and print one line for each.",
    )
    detect.add_argument(
        "images", nargs="+", metavar="IMAGE", help="files, directories or glob patterns"
    )
    _add_model_options(detect)
    detect.add_argument("--json", action="store_true", help="print one JSON object a line")
    detect.add_argument(
        "--boxes",
        choices=[PIXEL_BOXES, RELATIVE_BOXES],
        default=PIXEL_BOXES,
        help="with --json: boxes in pixels, one object each (default), or parallel lists in the "
        "form of TensorFlow Hub's Open Images modules: detection_boxes (y_min, x_min, y_max, "
        "x_max, 0 to 1), detection_class_entities, _names (MIDs), _labels, detection_scores",
    )
    detect.add_argument(
        "--save", type=Path, metavar="DIR", help="write pictures with the boxes drawn to DIR"
    )
    detect.set_defaults(work=("edge_detect.app.detect", "detect"))


def _add_models(commands: "Commands") -> None:
    models = commands.add_parser("models", help="list, inspect, fetch and convert models")
    actions = models.add_subparsers(dest="action", metavar="ACTION", title="actions", required=True)
    listing = actions.add_parser("list", help="list all models of the catalogue")
    listing.add_argument("--json", action="store_true", help="print one JSON object a line")
    listing.set_defaults(work=("edge_detect.app.models", "list_all"))
    show = actions.add_parser("show", help="print origin, licence, labels and figures of a model")
    show.add_argument("name", metavar="NAME")
    show.set_defaults(work=("edge_detect.app.models", "show"))
    verify = actions.add_parser("verify", help="check model files against their manifests")
    verify.add_argument("names", nargs="*", metavar="NAME", help="default: all that are present")
    verify.set_defaults(work=("edge_detect.app.models", "verify_models"))
    pull = actions.add_parser("pull", help="download a catalogued model")
    pull.add_argument("names", nargs="+", metavar="NAME")
    pull.add_argument(
        "--url", help="fetch from here instead, e.g. a mirror; the content is checked all the same"
    )
    pull.set_defaults(work=("edge_detect.app.models", "pull_models"))
    add_file_actions(actions)
    add_convert(actions)


def _add_config(commands: "Commands") -> None:
    config = commands.add_parser("config", help="check, show and write configuration files")
    actions = config.add_subparsers(dest="action", metavar="ACTION", title="actions", required=True)
    check = actions.add_parser("check", help="tell everything that is wrong with a file")
    show = actions.add_parser("show", help="print all settings, without passwords")
    init = actions.add_parser(
        "init",
        help="write a sample that works as it is",
        description="Write a commented sample that works as it is; never overwrites a file.",
    )
    schema = actions.add_parser("schema", help="print the JSON Schema of the file, for editors")
    for action, function in ((check, "check"), (show, "show"), (init, "init")):
        action.add_argument(
            "file",
            nargs="?",
            type=Path,
            default=DEFAULT_CONFIG,
            metavar="FILE",
            help=f"default: {DEFAULT_CONFIG}{'; - for standard output' * (action is init)}",
        )
        action.set_defaults(work=("edge_detect.app.config", function))
    for action in (check, show):
        action.add_argument("--json", action="store_true", help="print one JSON object")
    schema.set_defaults(work=("edge_detect.app.config", "schema"))


def _add_model_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--model",
        metavar="NAME",
        help=f"name or path (default: {CPU_DEFAULT}; with an Edge TPU {EDGE_TPU_DEFAULT})",
    )
    parser.add_argument(
        "--threshold",
        type=probability,
        metavar="SCORE",
        help="least score, 0 to 1 (default: the model's own)",
    )
    parser.add_argument(
        "--classes", type=labels, metavar="A,B", help="report these labels alone, e.g. person,car"
    )
    parser.add_argument(
        "--accelerator",
        metavar="WHERE",
        help="auto, edgetpu, edgetpu:usb, edgetpu:pci, edgetpu:0, gpu or cpu (default: auto, an "
        "Edge TPU if there is one and the model has a twin for it)",
    )
    parser.add_argument(
        "--threads", type=positive_int, metavar="N", help="on the CPU (default: as tuned)"
    )
    parser.add_argument(
        "--runtime",
        choices=["litert", "tflite-runtime"],
        help="default: the first that is installed",
    )


if __name__ == "__main__":
    sys.exit(main())
