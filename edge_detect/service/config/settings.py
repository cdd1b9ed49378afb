"""Every key of the configuration file, with its meaning, default and limits.

`edge-detect config schema` and docs/configuration.md are made from this.
"""

import re
from collections.abc import Iterable
from typing import Annotated, Any, Literal, Self
from urllib.parse import quote, urlsplit, urlunsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationInfo,
    field_serializer,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from edge_detect.core import ConfigError
from edge_detect.models.accelerator import parse_accelerator
from edge_detect.service.config.endpoint import Endpoint
from edge_detect.service.config.polygons import polygon_fault
from edge_detect.service.config.problems import show_url

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

# What may stand in a header and in a cookie without quoting (RFC 6750, section 2.1).
_TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]{8,256}")


def _impossible(fact: str, hint: str = "") -> PydanticCustomError:
    """What a check raises, for pydantic to collect."""
    context: dict[str, Any] = {"fact": fact, "hint": hint}
    return PydanticCustomError("impossible", "{fact}", context)


def _hide_logins(value: Any) -> Any:
    """URLs without logins, one or several; anything else as it is."""
    if isinstance(value, tuple):
        return tuple(_hide_logins(each) for each in value)
    return show_url(value) if isinstance(value, str) else value


def _check_listen(text: str) -> str:
    try:
        Endpoint.parse(text)
    except ConfigError as error:
        raise _impossible("must be ADDRESS:PORT", error.hint) from error
    return text


def _check_polygon(corners: tuple["Point", ...]) -> tuple["Point", ...]:
    fault = polygon_fault(corners)
    if fault:
        raise _impossible(fault, "list the corners in order, as one walks round the zone")
    return corners


def _check_topic(topic: str) -> str:
    if any(character in topic for character in "+#\0"):
        raise _impossible("must have no wildcard", "'+' and '#' are for subscribers")
    if topic.startswith(("$", "/")) or topic.endswith("/"):
        raise _impossible("must begin and end with a name", "e.g. home/cameras")
    return topic


def _check_accelerator(text: str) -> str:
    try:
        return str(parse_accelerator(text))
    except ConfigError as error:
        raise _impossible("is no accelerator", error.hint) from error


def _check_token(token: SecretStr) -> SecretStr:
    if token.get_secret_value() and not _TOKEN.fullmatch(token.get_secret_value()):
        raise _impossible(
            "must be 8 to 256 letters and digits", "make one with `openssl rand -hex 16`"
        )
    return token


Accelerator = Annotated[str, AfterValidator(_check_accelerator)]
Core = Annotated[int, Field(ge=0, le=1023)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$")]
Share = Annotated[float, Field(ge=0, le=1)]
Point = tuple[Share, Share]
Polygon = Annotated[tuple[Point, ...], AfterValidator(_check_polygon)]
Listen = Annotated[str, AfterValidator(_check_listen)]
Token = Annotated[SecretStr, AfterValidator(_check_token)]
Topic = Annotated[str, AfterValidator(_check_topic)]
Port = Annotated[int, Field(ge=1, le=65535)]


class Section(BaseModel):
    """What all tables of the file share: unknown keys are errors, and nothing changes later."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    @field_validator("*", mode="before")
    @classmethod
    def _no_number(cls, value: Any, info: ValidationInfo) -> Any:
        """Have true and false refused where they do not belong: they would pass for 1 and 0."""
        belongs = cls.model_fields[info.field_name or ""].annotation is bool
        return object() if isinstance(value, bool) and not belongs else value

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        for name, value in super().__repr_args__():
            yield name, _hide_logins(value)


class ZoneSettings(Section):
    """A part of the picture: a zone has a name that is reported, a mask hides what stands in it.

    An object is where the middle of its box's lower edge is.
    """

    polygon: Polygon = Field(
        min_length=3, max_length=64, description="corners [x, y]; 0 to 1 of the picture"
    )
    classes: tuple[str, ...] = Field(default=(), description="for these classes only; empty: all")


class SizeLimits(Section):
    """How large the boxes of a class must be, as parts of the picture."""

    min_width: Share = Field(default=0.0, description="of the picture's width")
    max_width: Share = Field(default=1.0, description="of the picture's width")
    min_height: Share = Field(default=0.0, description="of the picture's height")
    max_height: Share = Field(default=1.0, description="of the picture's height")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        for side in ("width", "height"):
            least, most = getattr(self, f"min_{side}"), getattr(self, f"max_{side}")
            if least > most:
                raise _impossible(
                    f"min_{side} {least:g} is more than max_{side} {most:g}",
                    "no box would be large and small enough",
                )
        return self


class DetectorSettings(Section):
    """One loaded model, which cameras share."""

    model: str = Field(description="a name of `edge-detect models list`, or a path")
    accelerator: Accelerator = Field(
        default="auto",
        description="`edgetpu`, `edgetpu:usb`, `edgetpu:pci`, `edgetpu:0` (one of several), `gpu`, "
        "`cpu`, or `auto`: an Edge TPU if there is one and the model has a twin for it",
    )
    library: str = Field(
        default="", description="of the accelerator, if not the usual one; a name or path"
    )
    deadline_s: float | None = Field(
        default=None, gt=0, le=60, description="an accelerator that takes longer has failed; 2"
    )
    threads: int | None = Field(
        default=None, ge=1, le=64, description="on the CPU; as `edge-detect tune` found"
    )
    cores: tuple[Core, ...] = Field(
        default=(), description="cores that these threads keep to; empty: all"
    )
    runtime: Literal["litert", "tflite-runtime"] | None = Field(
        default=None, description="the first that is installed"
    )


class CameraSettings(Section):
    """One camera: where its picture comes from, what is looked for, and where it goes."""

    source: str = Field(description="a URL or path, as in `edge-detect run SOURCE`")
    source_user: str = Field(default="", description="login of a network camera")
    source_password: SecretStr = Field(
        default=SecretStr(""), description="the same, put into the URL when it is opened"
    )
    model: str = Field(default="", description="name or path; cameras with the same one share it")
    detector: str = Field(
        default="", description="NAME of one of [detectors.NAME], instead of `model`"
    )
    threshold: Share | None = Field(
        default=None, description="least score; if left out, the model's own"
    )
    classes: tuple[str, ...] = Field(default=(), description="report these alone; empty: all")
    max_fps: float | None = Field(
        default=None, gt=0, le=1000, description="at most so many detections a second"
    )
    overlay: Literal["latest", "exact"] = Field(
        default="latest",
        description="every frame with the newest boxes, or detected frames with their own",
    )
    enabled: bool = Field(default=True, description="whether it detects from the start")
    zones: dict[Name, ZoneSettings] = Field(default_factory=dict)
    masks: dict[Name, ZoneSettings] = Field(default_factory=dict)
    sizes: dict[str, SizeLimits] = Field(
        default_factory=dict, description='by class; "*" is for all others'
    )
    sinks: tuple[str, ...] = Field(default=(), description="URLs, as in `edge-detect run --sink`")

    @field_serializer("source", "sinks")
    def _without_logins(self, value: str | tuple[str, ...]) -> Any:
        return _hide_logins(value)

    @model_validator(mode="after")
    def _whole_login(self) -> Self:
        if self.source_password.get_secret_value() and not self.source_user:
            raise _impossible("source_password needs source_user", "add source_user")
        return self

    def source_url(self) -> str:
        """The source with its login in it: to be opened, never to be shown or logged."""
        if not self.source_user:
            return self.source
        parts = urlsplit(self.source)
        user = quote(self.source_user, safe="")
        password = quote(self.source_password.get_secret_value(), safe="")
        host = parts.netloc.rpartition("@")[2]
        return urlunsplit(parts._replace(netloc=f"{user}:{password}@{host}"))


class LoggingSettings(Section):
    """What is said, how, and how often."""

    level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="the least that is logged"
    )
    format: Literal["auto", "journal", "json", "console"] = Field(
        default="auto", description="the journal under systemd, else lines for people"
    )
    interval_s: float = Field(
        default=60.0, ge=0, le=86_400, description="seconds between figures; 0: none"
    )


class MetricsSettings(Section):
    """Prometheus, and /healthz and /readyz, at an address of their own."""

    listen: Listen = Field(default="127.0.0.1:9464", description="ADDRESS:PORT")


class HistorySettings(Section):
    """The files that `edge-detect report` draws."""

    enabled: bool = Field(default=True, description="whether they are written")
    interval_s: float = Field(
        default=60.0, ge=1, le=3600, description="seconds that a line sums up"
    )
    keep_days: int = Field(default=90, ge=1, le=3650, description="older ones are deleted")
    keep_mb: int = Field(
        default=200, ge=1, le=100_000, description="the oldest are deleted above so many MB"
    )


class WebSettings(Section):
    """One page for all cameras."""

    listen: Listen = Field(default="127.0.0.1:8080", description="ADDRESS:PORT")
    user: str = Field(default="", description="whom the page asks for; empty: nobody")
    password: SecretStr = Field(default=SecretStr(""), description="of the user")
    token: Token = Field(default=SecretStr(""), description="lets in whoever knows it")
    hosts: tuple[str, ...] = Field(default=(), description="further names of this computer")
    viewers: int = Field(default=8, ge=1, le=1000, description="at a time")

    @model_validator(mode="after")
    def _whole_login(self) -> Self:
        if bool(self.user) != bool(self.password.get_secret_value()):
            raise _impossible("user and password need each other", "give both, or neither")
        return self


class MqttSettings(Section):
    """The broker, and what is told to it."""

    host: str = Field(min_length=1, description="of the broker")
    port: Port | None = Field(default=None, description="1883, or 8883 with tls")
    user: str = Field(default="", description="who the broker knows us as")
    password: SecretStr = Field(default=SecretStr(""), description="of the user")
    tls: bool = Field(default=False, description="whether the connection is encrypted")
    tls_ca: str = Field(default="", description="PEM file; empty: the authorities of the system")
    tls_cert: str = Field(default="", description="PEM file that shows the broker who we are")
    tls_key: str = Field(default="", description="its key, if that is a file of its own")
    topic: Topic = Field(
        default="edge-detect",
        min_length=1,
        description="all topics begin with it",
    )
    node: str = Field(
        default="", description="name of this computer, which no other may have; its host name"
    )
    discovery: Topic = Field(default="homeassistant", description="empty: no discovery")
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

    enabled: bool = Field(default=True, description="whether it is done")
    limit_c: float = Field(default=78.0, ge=40, le=110, description="°C not to be reached")
    hysteresis_c: float = Field(
        default=5.0, ge=1, le=30, description="°C below that, at which it ends"
    )
    min_fps: float = Field(
        default=1.0, gt=0, le=60, description="detections a second that are always made"
    )


class WatchdogSettings(Section):
    """When a stage counts as stuck."""

    stuck_s: float = Field(default=20.0, ge=1, le=600, description="seconds without progress")


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
