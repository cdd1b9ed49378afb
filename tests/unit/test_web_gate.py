"""Who is let through to the page, and what every answer carries."""

import asyncio
import socket
from base64 import b64encode

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.responses import PlainTextResponse

from edge_detect.sinks.web.gate import SECURITY_HEADERS, Gate
from edge_detect.sinks.web.settings import WebSettings

LOCAL = "192.168.7.20"
TOKEN = "correct-horse-battery"  # noqa: S105 - of this test alone
# All that a header can hold, and often what makes parsers stumble.
HEADER = st.text(st.characters(max_codepoint=255), max_size=40) | st.sampled_from(
    ["[", "http://[", "http://[::1", "a:b:c", "a=\x00", "%", "\xe4", "YTpi\xe4", "==", ";;=;", ":"]
)
PASSWORD = "pässwörd"  # noqa: S105 - of this test alone


def ask(wanted=None, path="/api/state", method="GET", host="localhost:8080", **headers):
    """What the gate answers to one request that arrives at the local address."""
    gate = Gate(PlainTextResponse("let through"), wanted or WebSettings())

    async def at_local_address(scope, receive, send):
        await gate({**scope, "server": (LOCAL, 8080)}, receive, send)

    async def request():
        transport = httpx.ASGITransport(at_local_address)
        async with httpx.AsyncClient(transport=transport, base_url=f"http://{LOCAL}:8080") as web:
            names = {name.replace("_", "-"): value for name, value in headers.items()}
            return await web.request(method, path, headers={"host": host, **names})

    return asyncio.run(request())


def basic(user, password):
    return "Basic " + b64encode(f"{user}:{password}".encode()).decode()


@pytest.mark.parametrize(
    "host",
    [
        "localhost:8080",
        "LOCALHOST",
        "127.0.0.1:8080",
        "127.9.9.9",
        "[::1]:8080",
        f"{LOCAL}:8080",
        LOCAL,
        f"[::ffff:{LOCAL}]:8080",
        socket.gethostname(),
        f"{socket.gethostname()}.local:8080",
        "cam.example",
        "cam.example.:443",
    ],
)
def test_names_and_addresses_of_this_machine_are_answered(host):
    assert ask(WebSettings(hosts=("cam.example",)), host=host).text == "let through"


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:8080", "192.168.7.21", "localhost.evil.example", "", "[", "::"],
)
def test_other_names_are_refused_against_dns_rebinding(host):
    answer = ask(host=host)
    assert answer.status_code == 421
    assert "hosts=" in answer.text


def test_a_mapped_address_of_a_dual_stack_socket_is_the_same_address():
    gate = Gate(PlainTextResponse("let through"), WebSettings(host="::"))
    scope = {"server": (f"::ffff:{LOCAL}", 8080)}
    assert gate._knows_host(f"{LOCAL}:8080", scope)
    assert not gate._knows_host("192.168.7.21", scope)


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "http://localhost:9999"},
        {"sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "same-site"},
        {
            "sec_fetch_site": "cross-site",
            "sec_fetch_mode": "navigate",
            "sec_fetch_dest": "document",
        },
    ],
)
def test_requests_from_other_sites_are_refused(headers):
    assert ask(**headers).status_code == 403


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"origin": "http://localhost:8080", "sec_fetch_site": "same-origin"},
        {"sec_fetch_site": "none"},
    ],
)
def test_requests_of_the_page_and_of_programs_are_let_through(headers):
    assert ask(**headers).text == "let through"


def test_a_link_on_another_site_may_lead_to_the_page_but_not_show_it_in_a_frame():
    link = {"sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate"}
    assert ask(path="/", sec_fetch_dest="document", **link).text == "let through"
    assert ask(path="/", sec_fetch_dest="iframe", **link).status_code == 403


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "HEAD", "TRACE"])
def test_nothing_but_reading_is_possible(method):
    answer = ask(method=method)
    assert answer.status_code == 405
    assert answer.headers["allow"] == "GET"


def test_a_body_is_not_even_read():
    assert ask(content_length="5").status_code == 413
    assert ask(transfer_encoding="chunked").status_code == 413


@pytest.mark.parametrize("host", ["localhost", "evil.example"])
def test_every_answer_carries_the_security_headers(host):
    answer = ask(host=host)
    for name, value in SECURITY_HEADERS.items():
        assert answer.headers[name] == value
    assert "unsafe" not in answer.headers["content-security-policy"]
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
    assert "access-control-allow-origin" not in answer.headers


def test_the_right_user_and_password_open_the_gate():
    wanted = WebSettings(user="anna", password=PASSWORD)
    assert ask(wanted, authorization=basic("anna", PASSWORD)).text == "let through"


@pytest.mark.parametrize(
    "given",
    [
        "",
        "Basic",
        "Basic !!!",
        basic("anna", "wrong"),
        basic("bert", PASSWORD),
        basic("anna", PASSWORD + "x"),
        basic("", ""),
        "Bearer anna",
    ],
)
def test_any_others_do_not_and_learn_nothing(given):
    answer = ask(WebSettings(user="anna", password=PASSWORD), authorization=given)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Basic ")
    assert "anna" not in answer.text


def test_the_token_opens_the_gate_as_bearer():
    wanted = WebSettings(token=TOKEN)
    assert ask(wanted, authorization=f"Bearer {TOKEN}").text == "let through"
    for wrong in (f"Bearer {TOKEN}x", "Bearer ", basic("", TOKEN)):
        answer = ask(wanted, authorization=wrong)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"].startswith("Bearer")


def test_the_token_in_the_address_is_exchanged_for_a_cookie_that_does_not_tell_it():
    wanted = WebSettings(token=TOKEN)
    answer = ask(wanted, path=f"/?token={TOKEN}")
    assert answer.status_code == 303
    assert answer.headers["location"] == "/"
    cookie = answer.headers["set-cookie"]
    assert "httponly" in cookie.lower()
    assert "samesite=strict" in cookie.lower()
    assert TOKEN not in cookie
    pair = cookie.partition(";")[0]
    assert ask(wanted, cookie=f"other=1; {pair}").text == "let through"
    assert ask(wanted, cookie=pair + "0").status_code == 401
    assert ask(wanted, cookie=f"edge-detect-8080={TOKEN}").status_code == 401


def test_the_token_in_the_address_counts_on_the_page_alone():
    wanted = WebSettings(token=TOKEN)
    assert ask(wanted, path=f"/api/state?token={TOKEN}").status_code == 401
    assert ask(wanted, path="/?token=wrong-one").status_code == 401


def test_a_cookie_of_another_token_is_worth_nothing():
    pair = ask(WebSettings(token=TOKEN), path=f"/?token={TOKEN}").headers["set-cookie"]
    other = WebSettings(token="another-token")  # noqa: S106 - of this test alone
    assert ask(other, cookie=pair.partition(";")[0]).status_code == 401


def test_without_a_token_no_cookie_and_no_empty_bearer_opens_the_gate():
    wanted = WebSettings(user="anna", password=PASSWORD)
    pair = ask(WebSettings(token=TOKEN), path=f"/?token={TOKEN}").headers["set-cookie"]
    assert ask(wanted, cookie=pair.partition(";")[0]).status_code == 401
    assert ask(wanted, authorization="Bearer ").status_code == 401
    assert ask(wanted, path="/?token=").status_code == 401


@settings(max_examples=300)
@given(
    host=HEADER,
    origin=HEADER,
    authorization=HEADER | HEADER.map("Basic ".__add__) | HEADER.map("Bearer ".__add__),
    cookie=HEADER | HEADER.map("edge-detect-8080=".__add__),
    query=HEADER,
)
def test_no_header_makes_the_gate_stumble_or_open(host, origin, authorization, cookie, query):
    guarded = WebSettings(user="anna", password=PASSWORD, token=TOKEN)
    names = {b"origin": origin, b"authorization": authorization, b"cookie": cookie}
    scope = {
        "type": "http",
        "method": "GET",
        "path": "/",
        "query_string": b"token=" + query.encode("latin-1"),
        "server": (LOCAL, 8080),
        "headers": [(name, value.encode("latin-1")) for name, value in names.items()],
    }
    for hosts in ([(b"host", host.encode("latin-1"))], [(b"host", LOCAL.encode())]):
        scope["headers"] = [*scope["headers"][:3], *hosts]
        answer = Gate(PlainTextResponse("let through"), guarded)._answer(scope)
        assert answer is not None
        assert answer.status_code in (401, 403, 421)
