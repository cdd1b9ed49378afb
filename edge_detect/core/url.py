"""URLs of sources and sinks: one parser, and names that carry no credentials."""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from edge_detect.core.errors import ConfigError
from edge_detect.core.geometry import Size

__all__ = ["Authority", "Url", "conceal", "concealed", "is_secret_key", "parse_url"]

_SCHEME = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]*):(?://)?(.*)$", re.DOTALL)
_SECRET_KEYS = {
    *("auth", "key", "login", "pass", "passwd", "password", "pw", "pwd", "secret", "token"),
    *("user", "username", "usr"),
}
# Words within longer keys, as in `access_token` and `userpwd`.
_SECRET_WORDS = re.compile(r"token|passw|pwd|secret|signature|credential|api_?key|login(use|pas)")
# Many cameras want their login within the path: `/user=me&password=x&channel=1`, or with '_'
# instead of '&'.
_IN_PATH = re.compile(r"(?<![A-Za-z])([A-Za-z]+)=(.*?)(?=[&/;]|_[A-Za-z]+=|$)", re.DOTALL)
# A ':' and a later '@', but a '/', '?' or '#' between: most likely a password that holds one of
# these as it is. No parser can tell then where the host begins.
_STRAY_PASSWORD = re.compile(r"[^/?#@]+:[^/?#@]*[/?#].*@", re.DOTALL)
_secrets: set[str] = set()
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}
_BYTES = {
    **{f"{prefix}b": 1000**power for power, prefix in enumerate(("", "k", "m", "g", "t"))},
    **{f"{prefix}ib": 1024**power for power, prefix in enumerate(("k", "m", "g", "t"), 1)},
}
_LONGEST_S = 100 * 365 * 86_400.0
_LARGEST_BYTES = 10**15
_TRUE = {"1", "true", "yes", "on"}
_FALSE = {"0", "false", "no", "off"}


class Authority(NamedTuple):
    """The parts of `user:password@host:port/path`, percent-decoded; empty where missing."""

    user: str
    password: str
    host: str
    port: int
    path: str


@dataclass(slots=True, frozen=True)
class Url:
    """A parsed URL, or a bare path (then `scheme` is empty).

    Attributes:
        scheme: Lower case; empty for a bare path.
        location: Host and path, percent-decoded for URLs; the text itself for a bare path.
        options: The query, by key.
        text: What was parsed, credentials included: for libraries that connect, never to show.
    """

    scheme: str
    location: str
    options: dict[str, str]
    text: str

    @property
    def name(self) -> str:
        """The URL as it may be shown and logged: without user, password and tokens."""
        if not self.scheme:
            return self.location
        rest = _rest(self.text)
        if self.stray_password:
            return f"{self.scheme}://***"
        # Before decoding: a password may hold a '/' or '@' that is percent-encoded.
        location = unquote(_IN_PATH.sub(_hidden, _without_user(rest.partition("?")[0])))
        location = concealed(location)
        shown = {
            key: "***" if is_secret_key(key) else concealed(value)
            for key, value in self.options.items()
        }
        query = f"?{urlencode(shown, safe='*/:,')}" if shown else ""
        return f"{self.scheme}://{quote(location, safe='/:@[]*?,+ ')}{query}"

    @property
    def stray_password(self) -> bool:
        """Whether it looks as if a '/', '?' or '#' in a password was not percent-encoded."""
        return bool(self.scheme) and _STRAY_PASSWORD.match(_rest(self.text)) is not None

    def authority(self, default_port: int) -> Authority:
        """Take the part before the query apart, as for a network address.

        Args:
            default_port: For URLs that name none.

        Raises:
            ConfigError: The port is no number from 1 to 65535.
        """
        try:
            parts = urlsplit(self.text)
        except ValueError as error:
            raise ConfigError(
                f"{self.name!r} has an impossible address",
                "put IPv6 addresses into brackets, e.g. [::1]",
            ) from error
        try:
            port = parts.port
        except ValueError:
            port = 0
        if port == 0:
            raise ConfigError(
                f"{self.name!r} has an impossible port", "ports are numbers from 1 to 65535"
            )
        return Authority(
            unquote(parts.username or ""),
            unquote(parts.password or ""),
            parts.hostname or "",
            port or default_port,
            unquote(parts.path),
        )

    def check_options(self, *known: str) -> None:
        """Refuse misspelt options.

        Raises:
            ConfigError: An option is not among the known ones.
        """
        for key in self.options:
            if key not in known:
                hint = f"use one of {', '.join(known)}" if known else "leave the part from '?' out"
                raise ConfigError(f"{self.name!r} has the unknown option {key!r}", hint)

    def flag(self, key: str, *, default: bool = False) -> bool:
        """A yes-or-no option; a key without a value means yes.

        Raises:
            ConfigError: The value is neither.
        """
        if key not in self.options:
            return default
        value = self.options[key].lower() or "true"
        if value not in _TRUE | _FALSE:
            raise self._wrong(key, "true or false")
        return value in _TRUE

    def integer(self, key: str, default: int, *, minimum: int = 0) -> int:
        """A whole number.

        Raises:
            ConfigError: The value is not a whole number or less than `minimum`.
        """
        text = self.options.get(key, str(default))
        if not re.fullmatch(r"-?\d{1,12}", text, re.ASCII) or int(text) < minimum:
            raise self._wrong(key, f"a whole number from {minimum}")
        return int(text)

    def number(self, key: str, default: float) -> float:
        """A positive number.

        Raises:
            ConfigError: The value is not a number above 0 and up to a million.
        """
        try:
            value = float(self.options.get(key, default))
        except ValueError:
            value = -1.0
        if not 0 < value <= 1e6:
            raise self._wrong(key, "a number above 0")
        return value

    def duration_s(self, key: str, default: float) -> float:
        """A length of time such as `500ms`, `60s`, `5m`, `1.5h` or `7d`, in seconds.

        Raises:
            ConfigError: The value is no such text, or more than a hundred years.
        """
        if key not in self.options:
            return default
        seconds = _measure(self.options[key], _SECONDS)
        if seconds is None or seconds > _LONGEST_S:
            raise self._wrong(key, "a length of time such as 60s, 5m, 1h or 7d")
        return seconds

    def byte_size(self, key: str, default: int) -> int:
        """An amount of data such as `10GB`, `500MB` or `2GiB`, in bytes.

        Raises:
            ConfigError: The value is no such text, or more than a thousand terabytes.
        """
        if key not in self.options:
            return default
        amount = _measure(self.options[key], _BYTES)
        if amount is None or amount > _LARGEST_BYTES:
            raise self._wrong(key, "an amount of data such as 500MB or 10GB")
        return round(amount)

    def size(self, key: str, default: Size) -> Size:
        """A picture size such as `1280x720`.

        Raises:
            ConfigError: The value is not two whole numbers from 1 to 16384.
        """
        if key not in self.options:
            return default
        match = re.fullmatch(r"(\d{1,5})[xX](\d{1,5})", self.options[key], re.ASCII)
        size = Size(int(match[1]), int(match[2])) if match else Size(0, 0)
        if not (1 <= size.width <= 16384 and 1 <= size.height <= 16384):
            raise self._wrong(key, "a size such as 1280x720")
        return size

    def _wrong(self, key: str, wanted: str) -> ConfigError:
        return ConfigError(
            f"{self.name!r}: option {key!r} must be {wanted}, got {self.options.get(key)!r}"
        )


def parse_url(text: str | Path) -> Url:
    """Take a URL apart; whatever has no scheme, or exists as a file, is a bare path.

    Both `scheme://location` and `scheme:location` are understood, so that a mistake such as
    `v4l:/dev/video0` is met with the list of schemes and not with "no such file".
    """
    if isinstance(text, Path):
        return Url("", str(text), {}, str(text))
    match = _SCHEME.match(text)
    if match is None or ("://" not in text and os.path.lexists(text)):
        return Url("", text, {}, text)
    rest, _, query = match[2].partition("?")
    options = dict(parse_qsl(query, keep_blank_values=True))
    return Url(match[1].lower(), unquote(rest), options, text)


def is_secret_key(key: str) -> bool:
    """Whether what goes by that name must not be shown, such as `password` or `access_token`."""
    return key.lower() in _SECRET_KEYS or _SECRET_WORDS.search(key.lower()) is not None


def conceal(secret: str) -> None:
    """Have a text replaced by `***` in the names of all URLs from now on.

    For secrets that stand where no rule would look for them, such as a key in a path.
    """
    _secrets.add(secret)


def concealed(text: str) -> str:
    """A text without what is to be concealed."""
    for secret in sorted(_secrets, key=len, reverse=True):
        text = text.replace(secret, "***").replace(quote(secret, safe=""), "***")
    return text


def _hidden(match: re.Match[str]) -> str:
    return f"{match[1]}=***" if is_secret_key(match[1]) else match[0]


def _measure(text: str, units: dict[str, float]) -> float | None:
    """The number times its unit; None where the text is no number with one of the units."""
    match = re.fullmatch(r"(\d{1,12}(?:\.\d{1,6})?) ?([A-Za-z]+)", text, re.ASCII)
    if match is None or match[2].lower() not in units:
        return None
    return float(match[1]) * units[match[2].lower()]


def _rest(text: str) -> str:
    """What follows the scheme."""
    return text.partition(":")[2].removeprefix("//")


def _without_user(location: str) -> str:
    host, slash, path = location.partition("/")
    return host.rpartition("@")[2] + slash + path
