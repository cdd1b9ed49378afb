"""The RTSP sink without a network: its URL, and what it says when GStreamer is missing."""

import importlib
import sys

import pytest

from edge_detect.core import ConfigError, DependencyError
from edge_detect.sinks import open_sink
from edge_detect.sinks.rtsp import system as rtsp_system
from edge_detect.sinks.rtsp.mount import Address
from edge_detect.sinks.rtsp.server import _cannot_listen
from edge_detect.sinks.rtsp.sink import RtspSink
from edge_detect.sinks.rtsp.system import APT_LINE, load_rtsp_libraries


@pytest.fixture
def fresh_libraries():
    """As if GStreamer had not been asked for yet."""
    load_rtsp_libraries.cache_clear()
    yield
    load_rtsp_libraries.cache_clear()


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("rtsp://", "rtsp://127.0.0.1:8554/live"),
        ("rtsp://:8554/live", "rtsp://127.0.0.1:8554/live"),
        ("rtsp://:9000", "rtsp://127.0.0.1:9000/live"),
        ("rtsp://0.0.0.0/garden/gate_1", "rtsp://0.0.0.0:8554/garden/gate_1"),
        ("rtsp://[::1]:8554/live", "rtsp://[::1]:8554/live"),
        ("rtsp://localhost/a-b.c~d?fps=5", "rtsp://localhost:8554/a-b.c~d"),
        ("rtsp://anna:s%40cret@0.0.0.0/live", "rtsp://0.0.0.0:8554/live"),
    ],
)
def test_the_name_is_the_address_to_type_into_a_player_without_the_password(url, name):
    sink = open_sink(url)
    assert isinstance(sink, RtspSink)
    assert sink.name == name
    assert "cret" not in repr(vars(sink).get("name"))
    assert (sink.takes_pictures, sink.takes_results) == (True, False)
    assert (sink.wants_picture, sink.viewers, sink.dropped) == (False, 0, 0)
    sink.close()


@pytest.mark.parametrize(
    "path", ["/", "/a b", "/*", "/live/", "//live", "/a%2Fb/", "/ä", "/a%0d%0ab"]
)
def test_paths_that_players_cannot_ask_for_are_refused(path):
    with pytest.raises(ConfigError, match="path") as caught:
        open_sink(f"rtsp://127.0.0.1:8554{path}")
    assert "rtsp://127.0.0.1:8554/live" in caught.value.hint


@pytest.mark.parametrize(
    "url",
    [
        "rtsp://anna@0.0.0.0/live",
        "rtsp://anna:@0.0.0.0/live",
        "rtsp://:s3cret@0.0.0.0/live",
        "rtsp://an%22na:s3cret@0.0.0.0/live",
        "rtsp://anna:s3cret%0d@0.0.0.0/live",
    ],
)
def test_users_without_a_password_are_refused_and_passwords_not_shown(url):
    with pytest.raises(ConfigError, match="user or password") as caught:
        open_sink(url)
    assert "s3cret" not in str(caught.value)
    assert "anna" not in str(caught.value)


@pytest.mark.parametrize("query", ["clients=0", "clients=x", "size=9", "speed=1", "encoder=vp8"])
def test_wrong_options_are_refused(query):
    with pytest.raises(ConfigError):
        open_sink(f"rtsp://:8554/live?{query}")


def test_an_impossible_port_is_refused():
    with pytest.raises(ConfigError, match="port"):
        open_sink("rtsp://:70000/live")


def test_the_password_is_in_no_representation_of_the_sink():
    sink = open_sink("rtsp://anna:s3cret@0.0.0.0/live")
    assert "s3cret" not in repr(sink)
    assert "s3cret" not in repr(vars(sink))


def test_without_gstreamer_the_error_has_the_line_that_installs_it(tmp_path):
    error = rtsp_system._missing_bindings(tmp_path)
    assert error.hint == APT_LINE
    assert "is missing" in error.message


def test_a_virtual_environment_that_hides_gstreamer_is_told_from_a_missing_one(
    tmp_path, monkeypatch
):
    (tmp_path / "gi").mkdir()
    monkeypatch.setattr(sys, "prefix", "/somewhere/venv")
    assert "--system-site-packages" in rtsp_system._missing_bindings(tmp_path).hint
    monkeypatch.setattr(sys, "prefix", sys.base_prefix)
    assert "/usr/bin/python3" in rtsp_system._missing_bindings(tmp_path).hint


@pytest.mark.usefixtures("fresh_libraries")
def test_a_part_of_gstreamer_that_is_missing_is_named(monkeypatch):
    import_module = importlib.import_module

    def import_all_but_one(name):
        if name == "gi.repository.GstRtspServer":
            raise ImportError("cannot import name GstRtspServer, introspection typelib not found")
        return import_module(name)

    monkeypatch.setattr(rtsp_system, "import_module", import_all_but_one)
    with pytest.raises(DependencyError, match=r"not complete: .*GstRtspServer") as caught:
        load_rtsp_libraries()
    assert caught.value.hint == APT_LINE


@pytest.mark.usefixtures("fresh_libraries")
def test_an_element_that_is_missing_is_named(monkeypatch):
    monkeypatch.setattr(rtsp_system, "_ELEMENTS", ("appsrc", "no-such-element"))
    with pytest.raises(DependencyError, match="lacks no-such-element") as caught:
        load_rtsp_libraries()
    assert caught.value.hint == APT_LINE


@pytest.mark.parametrize(
    ("code", "transient", "words"),
    [
        ("ADDRESS_IN_USE", False, "8555"),
        ("PERMISSION_DENIED", False, "below 1024"),
        ("HOST_UNREACHABLE", True, "for all of them"),
    ],
)
def test_what_can_be_done_about_an_address_is_told_by_the_code_of_the_error(code, transient, words):
    """The text of the error is in the user's language."""
    libraries = load_rtsp_libraries()
    gio = libraries.Gio
    error = libraries.GLib.Error.new_literal(
        gio.io_error_quark(), "geht nicht", getattr(gio.IOErrorEnum, code)
    )
    address = Address("127.0.0.1", 8554, "/live", "anna", "s3cret")
    shown = _cannot_listen(libraries, address.name, address.port, error)
    assert shown.transient == transient
    assert words in shown.hint
    assert "s3cret" not in str(shown)
