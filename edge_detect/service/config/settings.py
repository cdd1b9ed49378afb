"""Every key of the configuration file, with its meaning, default and limits.

`edge-detect config schema` and the sample file are made from this.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr

__all__ = [
    "CameraSettings",
    "DetectorSettings",
    "HistorySettings",
    "LoggingSettings",
    "MetricsSettings",
    "MqttSettings",
    "Settings",
    "SizeLimits",
    "ThermalSettings",
    "WatchdogSettings",
    "WebSettings",
    "ZoneSettings",
]

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$")]
Share = Annotated[float, Field(ge=0, le=1)]
Point = tuple[Share, Share]
Port = Annotated[int, Field(ge=1, le=65535)]


class Section(BaseModel):
    """What all tables of the file share: unknown keys are errors, and nothing changes later."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class ZoneSettings(Section):
    """A part of the picture: a zone has a name that is reported, a mask hides what stands in it.

    An object is where the middle of its box's lower edge is.
    """

    polygon: tuple[Point, ...] = Field(
        min_length=3, max_length=64, description="corners [x, y]; 0 to 1 of the picture"
    )
    classes: tuple[str, ...] = Field(default=(), description="for these classes only; empty: all")


class SizeLimits(Section):
    """How large the boxes of a class must be, as parts of the picture."""

    min_width: Share = 0.0
    max_width: Share = 1.0
    min_height: Share = 0.0
    max_height: Share = 1.0


class DetectorSettings(Section):
    """One loaded model, which cameras share."""

    model: str = Field(description="a name of `edge-detect models list`, or a path")
    threads: int | None = Field(default=None, ge=1, le=64, description="of the interpreter")
    runtime: Literal["litert", "tflite-runtime"] | None = None


class CameraSettings(Section):
    """One camera: where its picture comes from, what is looked for, and where it goes."""

    source: str = Field(description="a URL or path, as in `edge-detect run SOURCE`")
    source_user: str = ""
    source_password: SecretStr = SecretStr("")
    model: str = Field(default="", description="name or path; cameras with the same one share it")
    detector: str = Field(default="", description="one of [detectors.NAME], instead of `model`")
    threshold: Share | None = Field(default=None, description="least score; the model's own")
    classes: tuple[str, ...] = Field(default=(), description="report these alone; empty: all")
    max_fps: float | None = Field(
        default=None, gt=0, le=1000, description="at most so many detections a second"
    )
    overlay: Literal["latest", "exact"] = "latest"
    enabled: bool = Field(default=True, description="whether it detects from the start")
    zones: dict[Name, ZoneSettings] = Field(default_factory=dict)
    masks: dict[Name, ZoneSettings] = Field(default_factory=dict)
    sizes: dict[str, SizeLimits] = Field(
        default_factory=dict, description='by class; "*" is for all others'
    )
    sinks: tuple[str, ...] = Field(default=(), description="URLs, as in `edge-detect run --sink`")


class LoggingSettings(Section):
    """What is said, how, and how often."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "journal", "json", "console"] = "auto"
    interval_s: float = Field(
        default=60.0, ge=0, le=86_400, description="seconds between figures; 0: none"
    )


class MetricsSettings(Section):
    """Prometheus, and /healthz and /readyz, at an address of their own."""

    listen: str = Field(default="127.0.0.1:9464", description="ADDRESS:PORT")


class HistorySettings(Section):
    """The files that `edge-detect report` draws."""

    enabled: bool = True
    interval_s: float = Field(default=60.0, ge=1, le=3600)
    keep_days: int = Field(default=90, ge=1, le=3650)
    keep_mb: int = Field(default=200, ge=1, le=100_000)


class WebSettings(Section):
    """One page for all cameras."""

    listen: str = Field(default="127.0.0.1:8080", description="ADDRESS:PORT")
    user: str = ""
    password: SecretStr = SecretStr("")
    token: SecretStr = SecretStr("")
    hosts: tuple[str, ...] = ()
    viewers: int = Field(default=8, ge=1, le=1000)


class MqttSettings(Section):
    """The broker, and what is told to it."""

    host: str = Field(min_length=1)
    port: Port | None = Field(default=None, description="1883, or 8883 with tls")
    user: str = ""
    password: SecretStr = SecretStr("")
    tls: bool = False
    tls_ca: str = Field(default="", description="PEM file; empty: the authorities of the system")
    tls_cert: str = Field(default="", description="PEM file that shows the broker who we are")
    tls_key: str = Field(default="", description="its key, if that is a file of its own")
    topic: str = Field(
        default="edge-detect",
        pattern=r"^[^+#/$\x00][^+#\x00]*$",
        description="all topics begin with it",
    )
    node: str = Field(
        default="", description="name of this computer, which no other may have; its host name"
    )
    discovery: str = Field(
        default="homeassistant", pattern=r"^[^+#\x00]*$", description="empty: no discovery"
    )
    keepalive_s: int = Field(
        default=15, ge=1, le=3600, description="seconds of silence, after which it is asked"
    )
    interval_s: float = Field(
        default=30.0, ge=1, le=86_400, description="seconds between states that have not changed"
    )
    queue: int = Field(
        default=1000, ge=1, le=100_000, description="events kept while the broker is away"
    )
    appear_s: float = Field(
        default=0.5, ge=0, le=60, description="seconds in sight, after which an object counts"
    )
    leave_s: float = Field(
        default=3.0, gt=0, le=3600, description="seconds out of sight, after which it has gone"
    )
    parked_s: float = Field(
        default=60.0, ge=0, le=3600, description="the same, at most, for what stood still long"
    )
    stay_s: float = Field(
        default=10.0, ge=1, le=86_400, description="until its first `stay`, later ones double"
    )
    snapshot_s: float = Field(
        default=10.0, ge=0, le=86_400, description="least seconds between pictures; 0: on command"
    )


class ThermalSettings(Section):
    """Detecting less often before the board gets too hot."""

    enabled: bool = True
    limit_c: float = Field(default=78.0, ge=40, le=110)
    hysteresis_c: float = Field(default=5.0, ge=1, le=30)
    min_fps: float = Field(default=1.0, gt=0, le=60)


class WatchdogSettings(Section):
    """When a stage counts as stuck."""

    stuck_s: float = Field(default=20.0, ge=1, le=600)


class Settings(Section):
    """The whole file."""

    cameras: dict[Name, CameraSettings] = Field(min_length=1)
    detectors: dict[Name, DetectorSettings] = Field(default_factory=dict)
    logging: LoggingSettings = LoggingSettings()
    metrics: MetricsSettings | None = None
    history: HistorySettings = HistorySettings()
    web: WebSettings | None = None
    mqtt: MqttSettings | None = None
    thermal: ThermalSettings = ThermalSettings()
    watchdog: WatchdogSettings = WatchdogSettings()
