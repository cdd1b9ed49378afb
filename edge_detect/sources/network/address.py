"""Where a network stream is: what FFmpeg is told, and what may be shown."""

import os
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, unquote_plus, urlsplit

from edge_detect.core import ConfigError
from edge_detect.core.url import Url

__all__ = ["PASSWORD_VARIABLE", "USER_VARIABLE", "StreamAddress", "parse_address"]

USER_VARIABLE = "EDGE_DETECT_SOURCE_USER"
PASSWORD_VARIABLE = "EDGE_DETECT_SOURCE_PASSWORD"  # noqa: S105 - the name of one, not a password

_OPTIONS = frozenset(("transport", "open_timeout", "read_timeout", "tls_verify", "tls_ca"))
_TRANSPORTS = ("tcp", "udp")
_DEFAULT_PORTS = {"rtsp": 554, "rtsps": 322, "http": 80, "https": 443}
_OPEN_S = 5.0
_READ_S = 3.0
# A redirect or playlist must not make FFmpeg open local files, pipes or the like.
_PROTOCOLS = "rtsp,rtsps,rtp,udp,tcp,tls,http,https,httpproxy,crypto"
_CA_BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")


@dataclass(slots=True, frozen=True)
class StreamAddress:
    """How to connect to a stream.

    Attributes:
        name: The URL without credentials and tokens: the only part to show.
        url: For FFmpeg, credentials included.
        options: For FFmpeg's demuxer and protocols.
        has_user: Whether a user name is sent.
        open_s: Most seconds until the stream is described.
        read_s: Most seconds of silence.
    """

    name: str
    url: str = field(repr=False)
    options: dict[str, str] = field(repr=False)
    has_user: bool
    open_s: float
    read_s: float


def parse_address(url: Url) -> StreamAddress:
    """Read `rtsp://[user:password@]host[:port]/path?transport=tcp&open_timeout=5&…`.

    The options `transport` (`tcp` or `udp`, for RTSP), `open_timeout`, `read_timeout`
    (seconds), `tls_verify` and `tls_ca` (a file of trusted certificates, which implies
    `tls_verify`) are ours. All others belong to the camera and are passed on as they
    are. Without a user in the URL, EDGE_DETECT_SOURCE_USER and EDGE_DETECT_SOURCE_PASSWORD
    are taken from the environment.

    Raises:
        ConfigError: The URL names no host, or an option has an impossible value.
    """
    if url.stray_password:
        raise ConfigError(
            f"the {url.scheme} URL has a '/', '?' or '#' within its user or password",
            "write these percent-encoded: '/' as %2F, '?' as %3F, '#' as %23 "
            "(and an '@' in the path or query as %40)",
        )
    authority = url.authority(_DEFAULT_PORTS[url.scheme])
    if not authority.host:
        raise ConfigError(
            f"{url.name!r} names no host", f"use {url.scheme}://HOST/PATH, e.g. rtsp://camera/live"
        )
    user, password = authority.user, authority.password
    if not user:
        user = os.environ.get(USER_VARIABLE, "")
        password = os.environ.get(PASSWORD_VARIABLE, "")
    open_s, read_s = url.number("open_timeout", _OPEN_S), url.number("read_timeout", _READ_S)
    return StreamAddress(
        url.name,
        _compose(url, user, password),
        _ffmpeg_options(url, max(open_s, read_s)),
        bool(user),
        open_s,
        read_s,
    )


def _compose(url: Url, user: str, password: str) -> str:
    """The URL for FFmpeg: path and query in the camera's own spelling, without our options."""
    parts = urlsplit(url.text)
    login = f"{quote(user, safe='')}:{quote(password, safe='')}@" if user else ""
    host = parts.netloc.rpartition("@")[2]
    theirs = [
        pair
        for pair in parts.query.split("&")
        if pair and unquote_plus(pair.partition("=")[0]) not in _OPTIONS
    ]
    query = f"?{'&'.join(theirs)}" if theirs else ""
    return f"{url.scheme}://{login}{host}{parts.path}{query}"


def _ffmpeg_options(url: Url, silence_s: float) -> dict[str, str]:
    transport = url.options.get("transport", "tcp")
    if transport not in _TRANSPORTS:
        raise ConfigError(
            f"{url.name!r}: option 'transport' must be tcp or udp, got {transport!r}",
            "leave it out for tcp, which loses nothing",
        )
    options = {
        "protocol_whitelist": _PROTOCOLS,
        # Describe the stream from what comes first instead of from five seconds of it. Not with
        # `nobuffer`: that throws away what was read for it, and with it the first key frame.
        "analyzeduration": "100000",
        "probesize": "65536",
        "fpsprobesize": "0",
    }
    silence_us = str(round(silence_s * 1_000_000))
    if url.scheme in ("rtsp", "rtsps"):
        options |= {
            "timeout": silence_us,
            "rtsp_transport": transport,
            "allowed_media_types": "video",
            # Over UDP: how long packets that come early wait for one that may be lost.
            "max_delay": "100000",
        }
    else:
        options["rw_timeout"] = silence_us
    return options | _tls_options(url)


def _tls_options(url: Url) -> dict[str, str]:
    certificates = url.options.get("tls_ca", "")
    if not url.flag("tls_verify", default=bool(certificates)):
        return {"tls_verify": "0"}
    path = Path(certificates) if certificates else _CA_BUNDLE
    if not path.is_file():
        raise ConfigError(
            f"{url.name!r}: there is no file of trusted certificates {str(path)!r}",
            "name the camera's own certificate with tls_ca=/path/to/camera.pem"
            if certificates
            else "install it: sudo apt install ca-certificates",
        )
    return {"tls_verify": "1", "ca_file": str(path)}
