"""`ADDRESS:PORT`, and where files lie."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_detect.core import ConfigError
from edge_detect.service.config.endpoint import Endpoint
from edge_detect.service.paths import state_directory


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("127.0.0.1:8080", "127.0.0.1", 8080),
        ("0.0.0.0:1", "0.0.0.0", 1),  # noqa: S104 - parsed, not listened at
        ("[::1]:65535", "::1", 65535),
        ("[fe80::1%eth0]:80", "fe80::1%eth0", 80),
        ("pi.local:9464", "pi.local", 9464),
        ("localhost:9464", "localhost", 9464),
    ],
)
def test_an_address_and_a_port_are_told_apart_and_put_together_again(text, host, port) -> None:
    assert Endpoint.parse(text) == (host, port)
    assert str(Endpoint.parse(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":8080",
        "8080",
        "127.0.0.1",
        "127.0.0.1:0",
        "127.0.0.1:65536",
        "127.0.0.1:http",
        "127.0.0.1:8080/",
        "127.0.0:8080",
        "256.0.0.1:8080",
        "::1:8080",
        "[127.0.0.1]:8080",
        "[pi.local]:8080",
        "http://pi:8080",
        "a b:8080",
        "-pi:8080",
        "127.0.0.1:\u0668\u0660",
        "pi.local:8080\n",
    ],
)
def test_everything_else_is_refused_with_a_way_out(text) -> None:
    with pytest.raises(ConfigError) as caught:
        Endpoint.parse(text)
    assert caught.value.hint


@settings(deadline=None)
@given(st.text() | st.from_regex(r"[\[\]:.0-9a-f%-]*:[0-9]*", fullmatch=True))
def test_no_text_makes_parsing_raise_anything_else(text) -> None:
    try:
        endpoint = Endpoint.parse(text)
    except ConfigError:
        return
    assert Endpoint.parse(str(endpoint)) == endpoint


@pytest.mark.parametrize(
    ("one", "other", "clash"),
    [
        ("127.0.0.1:80", "127.0.0.1:80", True),
        ("127.0.0.1:80", "localhost:80", True),
        ("127.0.0.1:80", "0.0.0.0:80", True),
        ("[::]:80", "127.0.0.1:80", True),
        ("127.0.0.1:80", "127.0.0.1:81", False),
        ("10.0.0.1:80", "127.0.0.1:80", False),
    ],
)
def test_two_servers_clash_at_one_port_unless_their_addresses_differ(one, other, clash) -> None:
    first, second = Endpoint.parse(one), Endpoint.parse(other)
    assert first.clashes(second) == second.clashes(first) == clash


def test_loopback_is_told_from_the_network() -> None:
    assert Endpoint("127.0.0.5", 1).loopback
    assert Endpoint("::1", 1).loopback
    assert Endpoint("LOCALHOST", 1).loopback
    assert not Endpoint.parse("0.0.0.0:1").loopback
    assert not Endpoint("pi.local", 1).loopback


def test_the_state_directory_is_systemds_first_then_the_users() -> None:
    assert state_directory({"STATE_DIRECTORY": "/var/lib/a:/var/lib/b"}) == Path("/var/lib/a")
    assert state_directory({"XDG_STATE_HOME": "/x"}) == Path("/x/edge-detect")
    assert state_directory({}) == Path.home() / ".local/state/edge-detect"
