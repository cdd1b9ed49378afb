"""Where everything stands at the broker."""

import re
import socket
from dataclasses import dataclass

from edge_detect.service.config.settings import MqttSettings

__all__ = ["ALL", "CameraTopics", "Topics", "level"]

# Stands for all classes and for the whole picture.
ALL = "all"
# Home Assistant takes ASCII alone.
_FOREIGN = re.compile(r"[^\x00-\x7f]")
_UNFIT = re.compile(r"[^\w-]+", re.ASCII)


def level(name: str) -> str:
    """A name as one level of a topic: small letters, digits, `-` and `_`.

    Args:
        name: Of a class or a computer, which may hold spaces, slashes or wildcards.
    """
    ascii_only = _FOREIGN.sub(lambda found: f"u{ord(found[0]):x}", name.strip().lower())
    return _UNFIT.sub("_", ascii_only) or "_"


@dataclass(slots=True, frozen=True)
class CameraTopics:
    """The topics of one camera.

    Attributes:
        base: What they all begin with.
    """

    base: str

    @property
    def availability(self) -> str:
        """`online` while its source gives frames, else `offline`; retained."""
        return f"{self.base}/availability"

    @property
    def state(self) -> str:
        """How it is doing, as JSON; retained."""
        return f"{self.base}/state"

    @property
    def event(self) -> str:
        """Objects that appear, stay and leave, as JSON."""
        return f"{self.base}/event"

    @property
    def snapshot(self) -> str:
        """An annotated picture as JPEG; retained."""
        return f"{self.base}/snapshot"

    @property
    def enable(self) -> str:
        """`ON` or `OFF`; retained."""
        return f"{self.base}/enable"

    @property
    def threshold(self) -> str:
        """Least score reported; retained."""
        return f"{self.base}/threshold"

    def occupancy(self, zone: str, label: str) -> str:
        """How many objects are there; retained.

        Args:
            zone: Name of a zone, or ALL.
            label: A class, or ALL.
        """
        return f"{self.base}/occupancy/{zone}/{level(label)}"


class Topics:
    """The topics of one computer.

    Args:
        settings: With the first level and the name of the computer.

    Attributes:
        node: Name of the computer, fit for a topic.
        base: What all topics begin with, but for those of discovery.
        discovery: What those begin with; empty where there is no discovery.
    """

    def __init__(self, settings: MqttSettings) -> None:
        self.node = level(settings.node or socket.gethostname())
        self.base = f"{settings.topic.rstrip('/')}/{self.node}"
        self.discovery = settings.discovery.strip("/")

    @property
    def identity(self) -> str:
        """Names this computer among all that the broker and Home Assistant know."""
        return f"edge-detect_{self.node}"

    @property
    def status(self) -> str:
        """`online` or `offline`: birth and last will; retained."""
        return f"{self.base}/status"

    @property
    def state(self) -> str:
        """How the computer is doing, as JSON; retained."""
        return f"{self.base}/state"

    @property
    def error(self) -> str:
        """Commands that could not be followed, as JSON."""
        return f"{self.base}/error"

    @property
    def everything(self) -> tuple[str, ...]:
        """Filters that match whatever may be retained of this computer."""
        own = f"{self.base}/#"
        return (own, self.config("+", "+")) if self.discovery else (own,)

    @property
    def commands(self) -> str:
        """The filter that matches all commands."""
        return f"{self.base}/camera/+/+/set"

    @property
    def home_assistant(self) -> str:
        """Where Home Assistant says that it is there; empty without discovery."""
        return f"{self.discovery}/status" if self.discovery else ""

    def camera(self, name: str) -> CameraTopics:
        """Those of a camera."""
        return CameraTopics(f"{self.base}/camera/{name}")

    def command(self, topic: str) -> tuple[str, str] | None:
        """Take a topic of a command apart.

        Returns:
            Camera and what is to be set; None where it is no command.
        """
        prefix, suffix = f"{self.base}/camera/", "/set"
        if not (topic.startswith(prefix) and topic.endswith(suffix)):
            return None
        parts = topic[len(prefix) : -len(suffix)].split("/")
        return (parts[0], parts[1]) if len(parts) == 2 else None

    def is_of_camera(self, topic: str, name: str) -> bool:
        """Whether something of the camera `name` is kept there."""
        if topic.startswith(f"{self.camera(name).base}/"):
            return True
        entity = topic.removesuffix("/config").rpartition("/")[2]
        return topic.startswith(f"{self.discovery}/") and entity.startswith(f"{name}_")

    def config(self, component: str, entity: str) -> str:
        """Where Home Assistant is told of an entity; retained."""
        return f"{self.discovery}/{component}/{self.identity}/{entity}/config"
