"""Who may ask for what: the checks before every request, and the headers on every answer."""

import hmac
import socket
from base64 import b64decode
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from hashlib import sha256
from http.cookies import CookieError, SimpleCookie
from ipaddress import IPv4Address, IPv6Address, ip_address
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from edge_detect.sinks.web.settings import WebSettings

__all__ = ["SECURITY_HEADERS", "Gate", "Rules"]

# Nothing from elsewhere, nothing inline, nobody's frame; `blob:` is for pictures that the
# page has fetched itself.
SECURITY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:;"
        " connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    # Keeps other sites from showing our picture where the browser sends no Sec-Fetch-Site,
    # which it leaves out for plain HTTP addresses other than localhost.
    "Cross-Origin-Resource-Policy": "same-origin",
}
_MOST_BODY_BYTES = 1024
_LOOPBACK_NAMES = ("localhost", "ip6-localhost")
_TEN_YEARS_S = 10 * 365 * 86400


@dataclass(slots=True, frozen=True)
class Rules:
    """What the paths of an application are.

    Attributes:
        is_page: Whether a path is a page, to which other sites may link.
        is_open: Whether everybody may ask for it, without credentials.
        is_changeable: Whether it takes PUT, with a little JSON.
    """

    is_page: Callable[[str], bool] = ("/", "/docs").__contains__
    is_open: Callable[[str], bool] = ().__contains__
    is_changeable: Callable[[str], bool] = ().__contains__


class Gate:
    """Lets requests through to the application that come from its own page or from programs.

    Other sites in a visitor's browser must not reach the page: not under a name of theirs
    that suddenly points to this machine ("DNS rebinding": the Host header is checked), and
    not across origins (Origin and Sec-Fetch-Site are checked).

    Args:
        app: Answers what is let through.
        settings: Credentials and names.
        rules: What its paths are.
    """

    def __init__(self, app: ASGIApp, settings: WebSettings, rules: Rules | None = None) -> None:
        self._app = app
        self._rules = rules or Rules()
        self._settings = settings
        hostname = socket.gethostname().lower()
        self._names = {*_LOOPBACK_NAMES, hostname, f"{hostname}.local", *settings.hosts}
        if _as_address(settings.host) is None:
            self._names.add(settings.host.lower())
        self._basic = f"{settings.user}:{settings.password}".encode()
        # What the cookie holds lets one in, but does not tell the token.
        self._cookie = hmac.new(settings.token.encode(), b"edge-detect page", sha256).hexdigest()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or hand it on."""
        if scope["type"] != "http":
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in SECURITY_HEADERS.items():
                    # Pages with other needs, such as the report, say so themselves.
                    headers.setdefault(name, value)
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        answer = self._answer(scope) or self._app
        await answer(scope, receive, send_with_headers)

    def _answer(self, scope: Scope) -> Response | None:
        """What is said to a request instead of letting it through."""
        headers = Headers(scope=scope)
        if not self._knows_host(headers.get("host", ""), scope):
            return PlainTextResponse(
                "This server does not go by that name. Use its address, or add the name to"
                " hosts= where the page is configured.\n",
                421,
            )
        if not _comes_from_here(headers, link=self._rules.is_page(scope["path"])):
            return PlainTextResponse("Requests from other sites are refused.\n", 403)
        refusal = self._check_body(scope, headers)
        if refusal is None and self._settings.guarded and not self._rules.is_open(scope["path"]):
            return self._check_credentials(scope, headers)
        return refusal

    def _check_body(self, scope: Scope, headers: Headers) -> Response | None:
        close = {"Connection": "close"}
        if scope["method"] == "PUT" and self._rules.is_changeable(scope["path"]):
            length = headers.get("content-length", "")
            if not length.isdecimal() or len(length) > 4 or int(length) > _MOST_BODY_BYTES:
                text = f"A body of up to {_MOST_BODY_BYTES} bytes is expected, and its length.\n"
                return PlainTextResponse(text, 413, close)
            # What a page of another site cannot send without asking first, which is refused.
            if headers.get("content-type", "").partition(";")[0].strip() != "application/json":
                return PlainTextResponse("JSON is expected.\n", 415, close)
            return None
        if scope["method"] != "GET":
            changeable = self._rules.is_changeable(scope["path"])
            allow = {"Allow": "PUT" if changeable else "GET", **close}
            return PlainTextResponse("There is nothing to change here.\n", 405, allow)
        if headers.get("content-length", "0") != "0" or "transfer-encoding" in headers:
            return PlainTextResponse("No body is expected.\n", 413, close)
        return None

    def _knows_host(self, host: str, scope: Scope) -> bool:
        try:
            name = (urlsplit(f"//{host}").hostname or "").rstrip(".")
        except ValueError:
            return False
        if name in self._names:
            return True
        address = _as_address(name)
        # The address at which this very connection arrived: right on machines with many, and
        # after one has changed.
        local = _as_address(scope["server"][0]) if scope.get("server") else None
        return address is not None and (address.is_loopback or address == local)

    def _check_credentials(self, scope: Scope, headers: Headers) -> Response | None:
        if self._is_known(headers):
            return None
        if self._settings.token and scope["path"] == "/":
            given = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]
            if _same(given.encode(), self._settings.token.encode()):
                return self._sign_in(scope)
        challenge = 'Basic realm="edge-detect", charset="UTF-8"'
        hint = "Give user and password."
        if not self._settings.user:
            challenge, hint = 'Bearer realm="edge-detect"', "Open /?token=… once, or send it."
        return PlainTextResponse(f"{hint}\n", 401, {"WWW-Authenticate": challenge})

    def _is_known(self, headers: Headers) -> bool:
        scheme, _, given = headers.get("authorization", "").partition(" ")
        if self._settings.user and scheme.lower() == "basic":
            try:
                return _same(b64decode(given, validate=True), self._basic)
            except ValueError:
                return False
        if not self._settings.token:
            return False
        if scheme.lower() == "bearer":
            return _same(given.strip().encode(), self._settings.token.encode())
        return any(
            _same(value.encode(), self._cookie.encode())
            for value in _cookies(headers.getlist("cookie"), "edge-detect")
        )

    def _sign_in(self, scope: Scope) -> Response:
        """Keep the token as a cookie, and out of the address bar and its history."""
        answer = RedirectResponse("/", 303)
        port = scope["server"][1] if scope.get("server") else 0
        # Cookies know no ports: two pages on one machine must not overwrite each other's.
        answer.set_cookie(
            f"edge-detect-{port}",
            self._cookie,
            max_age=_TEN_YEARS_S,
            httponly=True,
            samesite="strict",
        )
        return answer


def _comes_from_here(headers: Headers, *, link: bool) -> bool:
    """Whether a browser says that a page of this server asks, or nothing says otherwise.

    Args:
        headers: Of the request.
        link: Whether other sites may link to what is asked for.
    """
    site = headers.get("sec-fetch-site", "none")
    if site not in ("same-origin", "none"):
        # A link to the page, on whichever site, is no attack: it shows the page and no more.
        followed_link = (
            headers.get("sec-fetch-mode") == "navigate"
            and headers.get("sec-fetch-dest") == "document"
            and link
        )
        if not followed_link:
            return False
    origin = headers.get("origin")
    if origin is None:
        return True
    try:
        return urlsplit(origin).netloc.lower() == headers.get("host", "").lower() != ""
    except ValueError:
        return False


def _as_address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def _cookies(headers: Iterable[str], prefix: str) -> list[str]:
    """Values of the cookies whose names begin like that."""
    found = []
    for header in headers:
        try:
            cookie = SimpleCookie(header)
        except CookieError:
            continue
        found += [morsel.value for name, morsel in cookie.items() if name.startswith(prefix)]
    return found


def _same(given: bytes, wanted: bytes) -> bool:
    """Whether they are equal, in a time that tells neither content nor length."""
    return hmac.compare_digest(sha256(given).digest(), sha256(wanted).digest())
