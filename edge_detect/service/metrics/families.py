"""Every metric by name: the exporter and docs/metrics.md are both made from this table."""

from dataclasses import dataclass
from typing import Literal

__all__ = ["BUCKETS_S", "DURATIONS", "FAMILIES", "Family", "duration_name"]

Kind = Literal["counter", "gauge", "histogram", "info"]

# From a kernel's millisecond to a stall of seconds. Whatever a limit may be, a bound is near.
BUCKETS_S = (
    *(0.001, 0.002, 0.003, 0.005, 0.0075),
    *(0.01, 0.015, 0.02, 0.03, 0.05, 0.075),
    *(0.1, 0.15, 0.2, 0.3, 0.5, 0.75),
    *(1.0, 2.0, 5.0, 10.0),
)


@dataclass(slots=True, frozen=True)
class Family:
    """One metric.

    Attributes:
        name: Without `edge_detect_`, and without the `_total` or `_info` that its kind adds.
        kind: As Prometheus understands it.
        labels: Names of its labels.
        help: What it says, in one line.
    """

    name: str
    kind: Kind
    labels: tuple[str, ...]
    help: str

    @property
    def full_name(self) -> str:
        """What queries call it; of a histogram, without `_bucket`, `_sum` or `_count`."""
        suffix = {"counter": "_total", "info": "_info"}.get(self.kind, "")
        return f"edge_detect_{self.name}{suffix}"


# Names of `Statistics.durations`.
DURATIONS = {
    "capture_to_detect": "Age of frames when their detections were known.",
    "capture_to_render": "Age of frames when they had been drawn.",
    "preprocess": "Time to bring a frame into the shape of the model's input.",
    "invoke": "Time in the interpreter for one frame.",
    "postprocess": "Time from the model's raw output to boxes.",
    "overlay": "Time to draw boxes and text on one frame.",
    "boxes_age": "How much older than the picture the frame is in which its boxes were found.",
}


def duration_name(duration: str) -> str:
    """The family of one of the `DURATIONS`."""
    return f"{duration}_seconds"


_CAMERA = ("camera",)
_SINK = ("camera", "sink")

FAMILIES = (
    Family("build", "info", ("version", "python"), "What runs; the value is always 1."),
    Family("ready", "gauge", (), "1 if every camera has shown a frame or is known to be away."),
    Family("troubles", "gauge", (), "Reasons to withhold the watchdog's sign of life; 0 is well."),
    Family("config_reloads", "counter", (), "How often the configuration was applied anew."),
    Family("threads", "gauge", (), "Threads of the process."),
    Family("camera", "info", ("camera", "model", "runtime"), "What a camera is looked at with."),
    Family(
        "accelerator_away",
        "gauge",
        _CAMERA,
        "1 while an Edge TPU or GPU that the model is for is away, or was not there at the start.",
    ),
    Family("camera_up", "gauge", _CAMERA, "1 while the camera's pipeline runs."),
    Family("camera_enabled", "gauge", _CAMERA, "1 while the camera is to detect."),
    Family("camera_restarts", "counter", _CAMERA, "Pipelines started again after a failure."),
    Family("camera_max_fps", "gauge", _CAMERA, "Most detections a second; only where it is set."),
    Family("score_threshold", "gauge", _CAMERA, "Least score that is reported, 0 to 1."),
    Family("source_up", "gauge", _CAMERA, "1 while the camera gives frames."),
    Family(
        "source_state",
        "gauge",
        ("camera", "state"),
        "1 for the state it is in: connecting, live, stalled, lost or ended.",
    ),
    Family("source_reconnects", "counter", _CAMERA, "How often a lost source came back."),
    Family(
        "frames",
        "counter",
        ("camera", "stage"),
        "Frames that a stage has finished: captured, detected or rendered.",
    ),
    Family(
        "frames_dropped",
        "counter",
        ("camera", "stage"),
        "Frames that a stage was too slow for and left out; as `limit` those left out on purpose,"
        " by `max_fps` or while detection is off.",
    ),
    Family("detections", "counter", _CAMERA, "Objects found; one that stays counts every frame."),
    *(Family(duration_name(name), "histogram", _CAMERA, text) for name, text in DURATIONS.items()),
    Family("sink_up", "gauge", _SINK, "1 while the sink takes what it is given."),
    Family("sink_encoded", "counter", _SINK, "Pictures that left the sink's encoder."),
    Family("sink_dropped", "counter", _SINK, "Pictures and results that it was too slow for."),
    Family("sink_failures", "counter", _SINK, "How often the sink failed."),
    Family("sink_viewers", "gauge", _SINK, "Who looks at it; only where the sink can tell."),
    Family(
        "capture_to_encode_seconds",
        "histogram",
        _SINK,
        "Age of pictures when they left the sink's encoder.",
    ),
    Family("board_temperature_celsius", "gauge", (), "Of the SoC."),
    Family("board_frequency_hertz", "gauge", (), "Clock of the fastest core."),
    Family("board_frequency_limit_hertz", "gauge", (), "The highest clock that is allowed."),
    Family(
        "board_throttling",
        "gauge",
        ("reason",),
        "1 while a Raspberry Pi's firmware slows it down: under_voltage, frequency_capped,"
        " throttled or soft_temperature_limit.",
    ),
    Family(
        "board_throttling_since_boot",
        "gauge",
        ("reason",),
        "1 if that has happened at any time since boot.",
    ),
)
