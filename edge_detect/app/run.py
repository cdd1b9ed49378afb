"""`edge-detect run`: the pipeline with a status line a second and a summary at the end."""

import argparse
import faulthandler
import logging
import signal
import sys
from contextlib import suppress
from types import FrameType

from edge_detect.app.status import StatusLine, summary
from edge_detect.core import ConfigError, bundled_path, monotonic_ns
from edge_detect.pipeline import Mode, Pipeline
from edge_detect.sinks.null import NullSink
from edge_detect.sources import first_camera, is_live
from edge_detect.sources.csi.cameras import first_csi_camera

__all__ = ["run"]

# Where results of a camera go; both serve this computer only until told otherwise.
_LIVE_SINKS = ("rtsp://:8554/live", "http://:8080")
# Where those of a file go.
_FILE_SINKS = ("output/edge-detect.mp4", "output/edge-detect.jsonl")


# What argparse adds, and the option itself.
_NOT_OPTIONS = {"command", "work", "config"}


class _Terminated(KeyboardInterrupt):
    """SIGTERM: the same clean end as Ctrl-C."""


def run(arguments: argparse.Namespace) -> int:
    """Run until the source ends, `--duration` is over, Ctrl-C or SIGTERM."""
    if arguments.config is not None:
        return _serve(arguments)
    logging.basicConfig(format="%(levelname)s %(message)s", level=logging.WARNING)
    source, mode = _choose_source(arguments)
    live = is_live(source, paced=None if mode is None else mode == "live")
    signal.signal(signal.SIGTERM, _on_terminate)
    pipeline = Pipeline(
        source,
        model=arguments.model,
        sinks=arguments.sink or (_LIVE_SINKS if live else _FILE_SINKS),
        mode=mode,
        overlay=arguments.overlay,
        accelerator=arguments.accelerator,
        threads=arguments.threads,
        runtime=arguments.runtime,
        classes=arguments.classes,
        score_threshold=arguments.threshold,
    )
    with pipeline:
        if not arguments.quiet:
            _introduce(pipeline)
        # Ctrl-C is how one ends this; what was written until then is complete.
        with suppress(KeyboardInterrupt):
            _watch(pipeline, arguments)
    if not arguments.quiet:
        _say(summary(pipeline))
    return 0


def _serve(arguments: argparse.Namespace) -> int:
    """Run what a configuration file says.

    Raises:
        ConfigError: The file is wrong, or another option was given too.
        DependencyError: A package of the service is missing.
    """
    others = {name: value for name, value in vars(arguments).items() if name not in _NOT_OPTIONS}
    # Not `in`: a threshold of 0 is equal to False.
    given = [name for name, value in others.items() if value is not None and value is not False]
    if given:
        raise ConfigError(
            f"--config says everything, and {given[0].replace('_', '-')!r} was given as well",
            f"put it into {arguments.config}",
        )
    # systemd ends a service that is stuck with SIGABRT: the log then shows where it was.
    faulthandler.enable()
    from edge_detect.service.daemon import Daemon
    from edge_detect.service.trim import limit_arenas

    limit_arenas()
    Daemon(arguments.config).run()
    return 0


def _choose_source(arguments: argparse.Namespace) -> tuple[str, Mode | None]:
    mode: Mode | None = arguments.mode
    if arguments.source:
        return arguments.source, mode
    camera = first_csi_camera() or first_camera()
    if camera:
        _say(f"source   {camera} (the first camera; name another to use it)")
        return camera, mode
    clips = sorted(bundled_path("demo").glob("*.mp4"))
    if not clips:
        raise ConfigError("there is no camera and no bundled clip", "name a source")
    _say(f"source   no camera found: the bundled clip {clips[0].name}, in a loop")
    return f"file://{clips[0]}?loop=true", mode or "live"


def _introduce(pipeline: Pipeline) -> None:
    detector, source = pipeline.detector, pipeline.source
    known = [str(source.size)] if source.size else []
    known += [f"{source.fps:.4g} fps"] if source.fps else []
    _say(f"source   {source.name}  {', '.join([*known, f'mode {pipeline.mode}'])}")
    where = ", ".join(detector.lanes.devices)
    if where == "cpu":
        where = f"{detector.threads} thread{'s' if detector.threads > 1 else ''}"
    told = f"; {detector.inferred.summary()}" if detector.inferred else ""
    _say(f"model    {detector.title}  {detector.input_size}, {detector.runtime}, {where}{told}")
    if detector.reason:
        _say(f"         the default, because {detector.reason}; --model takes another")
    if detector.lanes.away:
        _say(f"         {detector.lanes.away}")
    for sink in pipeline.sinks:
        if isinstance(sink, NullSink):
            continue
        _say(f"{'writes  ' if sink.writes_file else 'look at '} {sink.name}")
    _say("Ctrl-C stops")


def _watch(pipeline: Pipeline, arguments: argparse.Namespace) -> None:
    status = StatusLine(pipeline)
    started_ns = monotonic_ns()
    pipeline.start()
    while not pipeline.wait(_until_next_line(started_ns, arguments.duration)):
        elapsed_s = (monotonic_ns() - started_ns) / 1e9
        if arguments.duration is not None and elapsed_s >= arguments.duration:
            return
        if not arguments.quiet:
            _say(status.line())


def _until_next_line(started_ns: int, duration_s: float | None) -> float:
    elapsed_s = (monotonic_ns() - started_ns) / 1e9
    wait_s = 1.0 - elapsed_s % 1.0
    return wait_s if duration_s is None else max(0.0, min(wait_s, duration_s - elapsed_s))


def _say(text: str) -> None:
    # Standard output belongs to results (`--sink -`).
    print(text, file=sys.stderr, flush=True)


def _on_terminate(_number: int, _frame: FrameType | None) -> None:
    raise _Terminated
