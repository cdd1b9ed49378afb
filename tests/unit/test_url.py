"""URLs are taken apart, and never show credentials."""

from pathlib import Path

import pytest

from edge_detect.core import ConfigError, Size
from edge_detect.core.url import parse_url


@pytest.mark.parametrize(
    ("text", "scheme", "location", "options"),
    [
        ("file:///a/b.mp4?loop=true", "file", "/a/b.mp4", {"loop": "true"}),
        ("file://b.mp4", "file", "b.mp4", {}),
        ("file:///a%20b.mp4", "file", "/a b.mp4", {}),
        ("v4l:/dev/video0", "v4l", "/dev/video0", {}),
        ("synthetic://?fps=5", "synthetic", "", {"fps": "5"}),
        ("clip?.mp4", "", "clip?.mp4", {}),
        ("/dev/video0", "", "/dev/video0", {}),
        ("-", "", "-", {}),
    ],
)
def test_a_url_is_taken_apart(text, scheme, location, options) -> None:
    url = parse_url(text)
    assert (url.scheme, url.location, url.options) == (scheme, location, options)


def test_an_existing_file_with_a_colon_is_a_path(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("take:2.mp4").touch()
    assert parse_url("take:2.mp4").scheme == ""
    assert parse_url(Path("file:x")).scheme == ""


@pytest.mark.parametrize(
    "text",
    [
        "rtsp://admin:geheim@camera:554/stream?token=geheim&fps=3",
        "rtsp://admin:ge%40heim@camera:554/stream?fps=3&password=geheim",
        "rtsp://admin:geheim@geheim@camera:554/stream?fps=3",
        "rtsp:admin:geheim@camera:554/stream?fps=3",
    ],
)
def test_credentials_are_never_shown(text) -> None:
    name = parse_url(text).name
    assert "heim" not in name
    assert "admin" not in name
    assert name.startswith("rtsp://camera:554/stream?")
    assert "fps=3" in name


@pytest.mark.parametrize(
    "text",
    [
        "rtsp://admin:ge%2Fheim@camera/stream",
        "rtsp://admin:%40%3Fheim@camera/stream",
        "http://admin@camera/stream?access_token=geheim&userpwd=geheim&apikey=geheim",
    ],
)
def test_encoded_credentials_and_long_names_of_tokens_are_never_shown_either(text) -> None:
    name = parse_url(text).name
    assert "heim" not in name
    assert "admin" not in name
    assert "://camera/stream" in name


@pytest.mark.parametrize("mark", ["/", "?", "#"])
def test_nothing_is_shown_when_a_password_may_have_run_into_the_path(mark) -> None:
    url = parse_url(f"rtsp://admin:ge{mark}heim@camera/stream")
    assert url.stray_password
    assert url.name == "rtsp://***"
    assert not parse_url("rtsp://admin:geheim@camera:554/a@b?c=d@e").stray_password


def test_options_are_typed() -> None:
    url = parse_url("x://?size=640x480&fps=12.5&n=3&loop&off=no")
    assert url.size("size", Size(1, 1)) == (640, 480)
    assert url.number("fps", 1.0) == 12.5
    assert url.integer("n", 0) == 3
    assert url.flag("loop")
    assert not url.flag("off", default=True)
    assert url.flag("absent", default=True)


@pytest.mark.parametrize(
    ("query", "ask"),
    [
        ("size=640", lambda url: url.size("size", Size(1, 1))),
        ("size=0x10", lambda url: url.size("size", Size(1, 1))),
        ("fps=nan", lambda url: url.number("fps", 1.0)),
        ("fps=0", lambda url: url.number("fps", 1.0)),
        ("n=2.5", lambda url: url.integer("n", 1)),
        ("n=-1", lambda url: url.integer("n", 1)),
        ("loop=maybe", lambda url: url.flag("loop")),
    ],
)
def test_an_impossible_value_is_an_error_that_names_the_option(query, ask) -> None:
    with pytest.raises(ConfigError, match=query.partition("=")[0]):
        ask(parse_url(f"x://?{query}"))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("500ms", 0.5), ("60s", 60), ("5m", 300), ("1.5h", 5400), ("7d", 604_800), ("2W", 1_209_600)],
)
def test_lengths_of_time_are_seconds(text, seconds) -> None:
    assert parse_url(f"x://?t={text}").duration_s("t", 1.0) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("text", "size"),
    [("10GB", 10**10), ("500mb", 5 * 10**8), ("1.5kB", 1500), ("2GiB", 2**31), ("7b", 7)],
)
def test_amounts_of_data_are_bytes(text, size) -> None:
    assert parse_url(f"x://?keep={text}").byte_size("keep", 1) == size


def test_a_missing_length_or_amount_is_the_default() -> None:
    url = parse_url("x://")
    assert url.duration_s("t", 2.5) == 2.5
    assert url.byte_size("keep", 9) == 9


@pytest.mark.parametrize("text", ["", "60", "s", "-1s", "1e3s", "nan", "10GB", "5x", "9999999w"])
def test_what_is_no_length_of_time_is_an_error(text) -> None:
    with pytest.raises(ConfigError, match="'t' must be a length of time such as 60s"):
        parse_url(f"x://?t={text}").duration_s("t", 1.0)


@pytest.mark.parametrize("text", ["", "10", "GB", "-1GB", "7d", "10 Gigs", "9999999TB"])
def test_what_is_no_amount_of_data_is_an_error(text) -> None:
    with pytest.raises(ConfigError, match="'keep' must be an amount of data such as 500MB"):
        parse_url(f"x://?keep={text}").byte_size("keep", 1)


def test_a_misspelt_option_is_an_error_that_lists_the_right_ones() -> None:
    with pytest.raises(ConfigError, match="lop") as caught:
        parse_url("file://a.mp4?lop=true").check_options("loop", "realtime")
    assert caught.value.hint == "use one of loop, realtime"


def test_an_address_that_urlsplit_cannot_read_is_an_error_of_the_user() -> None:
    with pytest.raises(ConfigError, match="impossible address"):
        parse_url("rtsp://[::1/live").authority(554)
