"""Fetching a file of which only the address is known, from a real server on loopback."""

import threading
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from support.ports import free_port
from support.waiting import promptly

from edge_detect.core import DownloadError
from edge_detect.models.download import fetch as patient_fetch

CONTENT = bytes(range(256)) * 1000
fetch = partial(patient_fetch, first_wait_s=0.02)


class Handler(BaseHTTPRequestHandler):
    """Answers by the path; each request is written down."""

    paths: list[str]

    def do_GET(self):
        """Give the file, part of it, or an error."""
        self.paths.append(self.path)
        kind = self.path.strip("/").partition("?")[0]
        if kind == "broken":
            self.send_error(500)
        elif kind == "loop":
            self.send_response(302)
            self.send_header("Location", "/loop")
            self.end_headers()
        elif kind == "nowhere":
            self.send_response(302)
            self.send_header("Location", "http://:80/best.tflite")
            self.end_headers()
        else:
            self._give(cut=kind == "cut" and len(self.paths) == 1)

    def _give(self, *, cut):
        first = int((self.headers.get("Range") or "bytes=0-")[6:-1])
        self.send_response(206 if first else 200)
        self.send_header("Content-Length", str(len(CONTENT) - first))
        if self.path == "/stated":
            self.send_header("Content-Disposition", 'attachment; filename="../../best v2.tflite"')
        self.end_headers()
        self.wfile.write(CONTENT[first : 1000 if cut else None])

    def log_message(self, *_):
        """The test's output is its own."""


@pytest.fixture
def paths():
    return []


@pytest.fixture
def site(paths):
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Noted", (Handler,), {"paths": paths}))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def target(tmp_path):
    return tmp_path / "fetched"


def test_the_name_that_the_server_states_is_returned_without_folders(site, target):
    assert fetch(f"{site}/stated", target) == "best v2.tflite"
    assert target.read_bytes() == CONTENT
    assert fetch(f"{site}/plain", target) == ""


def test_an_address_may_have_spaces_and_letters_of_any_language(site, target, paths):
    fetch(f"{site}/my best (1).tflite?of=größe&a=%20", target)
    assert paths == ["/my%20best%20(1).tflite?of=gr%C3%B6%C3%9Fe&a=%20"]


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("http://", "no host in http://"),
        ("https:///best.tflite", "no host in"),
        ("http://127.0.0.1:x/best.tflite", "no valid address"),
        ("http://127.0.0.1:99999/best.tflite", "no valid address"),
        ("http://[::1/best.tflite", "no valid address"),
        ("http://a..b/best.tflite", "cannot fetch http://a..b"),
        ("http://a b/best.tflite", "cannot fetch http://a b"),
        ("ftp://127.0.0.1/best.tflite", "ftp scheme"),
    ],
)
def test_an_address_that_cannot_be_right_is_tried_once(address, says, target):
    with pytest.raises(DownloadError, match=says) as error, promptly():
        fetch(address, target)
    assert not error.value.transient
    assert error.value.hint


def test_a_redirect_to_no_host_is_tried_once(site, target, paths):
    with pytest.raises(DownloadError, match="no host"):
        fetch(f"{site}/nowhere", target)
    assert paths == ["/nowhere"]


def test_redirects_in_a_circle_are_one_error_of_one_line(site, target):
    with pytest.raises(DownloadError, match="answers 302") as error:
        fetch(f"{site}/loop", target)
    assert "\n" not in error.value.message


def test_what_never_begins_is_given_up_early(site, target, paths):
    with pytest.raises(DownloadError, match="Connection refused") as error, promptly():
        fetch(f"http://127.0.0.1:{free_port()}/best.tflite", target, begin_s=0.1)
    assert "goes on where it stopped" not in error.value.hint
    with pytest.raises(DownloadError, match="answers 500"), promptly():
        fetch(f"{site}/broken", target, begin_s=0.1)
    assert 1 < len(paths) < 6


def test_what_has_begun_is_given_more_time(site, target, paths):
    fetch(f"{site}/cut", target, begin_s=0)
    assert target.read_bytes() == CONTENT
    assert len(paths) == 2


def test_a_folder_that_cannot_be_written_is_named(site, target):
    with pytest.raises(DownloadError, match="cannot write to") as error:
        fetch(f"{site}/plain", target / "none" / "fetched")
    assert "TMPDIR" in error.value.hint
