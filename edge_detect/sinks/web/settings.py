"""What the URL of the web page says."""

import re
from dataclasses import dataclass, field

from edge_detect.core import ConfigError
from edge_detect.core.url import Url

__all__ = ["WebSettings", "read_settings"]

_LOOPBACK = "127.0.0.1"
_PORT = 8080
# What may stand in a header and in a cookie without quoting (RFC 6750, section 2.1).
_TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]{8,256}")


@dataclass(slots=True, frozen=True)
class WebSettings:
    """Where the page is served, and to whom.

    Attributes:
        name: The URL without credentials, complete, so that it can be opened.
        host: Address to listen at.
        port: To listen at; 0 lets the system choose.
        user: For HTTP Basic authentication; empty for none.
        password: Belongs to the user.
        token: Lets in whoever knows it; empty for none.
        hosts: Lower-case names, besides its own, under which the machine may be asked.
        viewers: Most that may watch the picture at a time.
    """

    name: str = f"http://{_LOOPBACK}:{_PORT}"
    host: str = _LOOPBACK
    port: int = _PORT
    user: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    token: str = field(default="", repr=False)
    hosts: tuple[str, ...] = ()
    viewers: int = 8

    @property
    def guarded(self) -> bool:
        """Whether credentials are asked for."""
        return bool(self.user or self.token)


def read_settings(url: Url) -> WebSettings:
    """Take the URL of a web sink apart.

    Raises:
        ConfigError: An option is misspelt or says something impossible.
    """
    url.check_options("token", "hosts", "viewers")
    authority = url.authority(_PORT)
    if authority.path not in ("", "/"):
        raise ConfigError(
            f"{url.name!r} names the path {authority.path!r}",
            "the page has no path of its own: use http://:8080",
        )
    if bool(authority.user) != bool(authority.password):
        raise ConfigError(
            f"{url.name!r} has a user without a password, or a password without a user",
            "use http://user:password@:8080",
        )
    token = url.options.get("token", "")
    if "token" in url.options and not _TOKEN.fullmatch(token):
        raise ConfigError(
            f"{url.name!r}: the token is too short or has characters that a header cannot carry",
            "use 8 to 256 letters and digits, e.g. from `openssl rand -hex 16`",
        )
    hosts = url.options.get("hosts", "").lower().split(",")
    host = authority.host or _LOOPBACK
    _, mark, query = url.name.partition("?")
    return WebSettings(
        name=f"http://{f'[{host}]' if ':' in host else host}:{authority.port}{mark}{query}",
        host=host,
        port=authority.port,
        user=authority.user,
        password=authority.password,
        token=token,
        hosts=tuple(host.strip() for host in hosts if host.strip()),
        viewers=url.integer("viewers", 8, minimum=1),
    )
