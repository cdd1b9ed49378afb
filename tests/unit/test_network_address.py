"""What of a stream's URL goes to the camera, what is ours, and what is never shown."""

import re
from urllib.parse import quote, unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_detect.core import ConfigError
from edge_detect.core.url import parse_url
from edge_detect.sources import open_source
from edge_detect.sources.network.address import (
    PASSWORD_VARIABLE,
    USER_VARIABLE,
    StreamAddress,
    parse_address,
)


@pytest.fixture(autouse=True)
def no_login(monkeypatch) -> None:
    monkeypatch.delenv(USER_VARIABLE, raising=False)
    monkeypatch.delenv(PASSWORD_VARIABLE, raising=False)


def address_of(text: str) -> StreamAddress:
    return parse_address(parse_url(text))


def test_options_of_the_camera_are_passed_on_as_they_are_and_ours_are_not() -> None:
    address = address_of(
        "rtsp://camera:8554/cam/real%20monitor?channel=1&transport=udp&subtype=0&a=b%26c&open_timeout=7&x"
    )
    assert address.url == ("rtsp://camera:8554/cam/real%20monitor?channel=1&subtype=0&a=b%26c&x")
    assert address.options["rtsp_transport"] == "udp"
    assert (address.open_s, address.read_s) == (7, 3)


def test_defaults_are_tcp_and_a_few_seconds() -> None:
    address = address_of("rtsp://camera/live")
    assert address.url == "rtsp://camera/live"
    assert address.options["rtsp_transport"] == "tcp"
    assert (address.open_s, address.read_s) == (5, 3)
    assert not address.has_user


@pytest.mark.parametrize("host", ["[fe80::1]:554", "[::1]", "10.0.0.7:8554"])
def test_numeric_addresses_are_passed_on(host) -> None:
    assert address_of(f"rtsp://a:b@{host}/x").url == f"rtsp://a:b@{host}/x"


def test_user_and_password_come_from_the_environment_where_the_url_has_none(monkeypatch) -> None:
    monkeypatch.setenv(USER_VARIABLE, "admin")
    monkeypatch.setenv(PASSWORD_VARIABLE, "p@ss:w/rd %?#")
    address = address_of("http://camera/video")
    assert address.url == "http://admin:p%40ss%3Aw%2Frd%20%25%3F%23@camera/video"
    assert address.has_user
    assert address_of("http://other:word@camera/video").url == "http://other:word@camera/video"


@given(
    user=st.text(min_size=1, max_size=12),
    password=st.text(max_size=12),
)
def test_any_user_and_password_arrive_and_are_shown_nowhere(user, password) -> None:
    login = f"{quote(user, safe='')}:{quote(password, safe='')}"
    address = address_of(f"rtsp://{login}@camera.example/live?token=123&channel=1")
    parts = urlsplit(address.url)
    assert (unquote(parts.username or ""), unquote(parts.password or "")) == (user, password)
    assert parts.hostname == "camera.example"
    assert address.name == "rtsp://camera.example/live?token=***&channel=1"
    shown = repr(address)
    assert "@" not in shown
    assert "token=123" not in shown


@pytest.mark.parametrize("mark", "/?#")
def test_a_password_that_was_not_encoded_is_refused_without_being_shown(mark) -> None:
    with pytest.raises(ConfigError, match="percent-encoded") as caught:
        open_source(f"rtsp://admin:ge{mark}heim@camera/live")
    assert "heim" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "fact"),
    [
        ("rtsp:///live", "names no host"),
        ("rtsp:live", "names no host"),
        ("rtsp://camera:99999/live", "impossible port"),
        ("rtsp://camera/live?transport=smoke", "must be tcp or udp"),
        ("rtsp://camera/live?open_timeout=0", "open_timeout"),
        ("rtsp://camera/live?read_timeout=soon", "read_timeout"),
        ("rtsps://camera/live?tls_verify=perhaps", "tls_verify"),
        ("https://camera/live?tls_ca=/nowhere.pem", "no file of trusted certificates"),
    ],
)
def test_impossible_urls_are_refused_before_anything_is_connected(text, fact) -> None:
    with pytest.raises(ConfigError, match=re.escape(fact)):
        open_source(text)


def test_a_file_of_certificates_implies_that_they_are_checked(tmp_path) -> None:
    certificate = tmp_path / "camera.pem"
    certificate.touch()
    assert address_of("https://camera/x").options["tls_verify"] == "0"
    options = address_of(f"https://camera/x?tls_ca={certificate}").options
    assert (options["tls_verify"], options["ca_file"]) == ("1", str(certificate))


def test_a_stream_may_open_no_local_files() -> None:
    allowed = address_of("http://camera/x").options["protocol_whitelist"].split(",")
    assert not {"file", "pipe", "data", "concat", "subfile", "unix"} & set(allowed)
