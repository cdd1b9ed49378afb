"""Where a server of this program listens: `ADDRESS:PORT`."""

import ipaddress
import re
from typing import NamedTuple

from edge_detect.core import ConfigError

__all__ = ["Endpoint"]

_HINT = "use ADDRESS:PORT, e.g. 127.0.0.1:8080, [::1]:8080, or 0.0.0.0:8080 for the network"
_TEXT = re.compile(r"(?:\[(?P<ipv6>[^\[\]]*)\]|(?P<host>[^:\[\]]*)):(?P<port>\d{1,5})", re.ASCII)
# RFC 1123, section 2.1. A last label of digits alone would be a misspelt IPv4 address.
_HOST_NAME = re.compile(
    r"(?=.{1,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)*(?!\d+$)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?",
    re.ASCII | re.IGNORECASE,
)


class Endpoint(NamedTuple):
    """An address and a port to listen at.

    Attributes:
        host: An IP address without brackets, or a host name.
        port: From 1 to 65535.
    """

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> "Endpoint":
        """Take `ADDRESS:PORT` apart; IPv6 addresses stand in brackets.

        Raises:
            ConfigError: The text is something else.
        """
        match = _TEXT.fullmatch(text)
        if match is None:
            raise ConfigError(f"{text!r} is not an address and a port", _HINT)
        host, port = match["ipv6"] or match["host"] or "", int(match["port"])
        if not _is_host(host, ipv6=match["ipv6"] is not None):
            raise ConfigError(f"{text!r} has an impossible address", _HINT)
        if not 1 <= port <= 65535:
            raise ConfigError(
                f"{text!r} has an impossible port", "ports are numbers from 1 to 65535"
            )
        return cls(host, port)

    @property
    def everywhere(self) -> bool:
        """Whether it stands for all addresses of the computer."""
        return self.host in ("0.0.0.0", "::")  # noqa: S104 - compared, not listened at

    @property
    def loopback(self) -> bool:
        """Whether this computer alone can reach it."""
        if self.host.lower() == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    def clashes(self, other: "Endpoint") -> bool:
        """Whether two servers cannot listen at both at a time."""
        if self.port != other.port:
            return False
        same = self.host.lower() == other.host.lower() or (self.loopback and other.loopback)
        return same or self.everywhere or other.everywhere

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def _is_host(host: str, *, ipv6: bool) -> bool:
    try:
        return ipaddress.ip_address(host).version == (6 if ipv6 else 4)
    except ValueError:
        return not ipv6 and _HOST_NAME.fullmatch(host) is not None
