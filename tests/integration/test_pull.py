"""Fetching model files from a real server on loopback that misbehaves on demand."""

import hashlib
import os
import resource
import socket
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from support.echo_models import MODELS, change_manifest, write_model
from support.ports import free_port
from support.waiting import HANG_S, promptly

from edge_detect.core import DownloadError, ModelError
from edge_detect.models import Verification, find_model, load_model, verify
from edge_detect.models import pull as patient_pull

# A real model with ballast behind it, so that it travels in many pieces.
CONTENT = (MODELS / "echo-uint8.tflite").read_bytes() + os.urandom(300_000)
ADDRESS = "http://127.0.0.1:9/echo.tflite"
pull = partial(patient_pull, first_wait_s=0.02)


@dataclass
class Script:
    """What the server does, one entry a request; the last one stays. And what it saw."""

    content: bytes = CONTENT
    answers: list[str] = field(default_factory=lambda: ["good"])
    etag: str = '"one"'
    requests: list[dict[str, str]] = field(default_factory=list)


class Handler(BaseHTTPRequestHandler):
    """Answers as its script says."""

    script: Script

    def do_GET(self):
        """Write the request down and give the next answer."""
        script = self.script
        script.requests.append(dict(self.headers))
        answer = script.answers.pop(0) if len(script.answers) > 1 else script.answers[0]
        getattr(self, f"_{answer}")()

    def _good(self, cut=0):
        content = self.script.content
        first = self._first_byte()
        if first and first >= len(content):
            self.send_error(416)
            return
        self.send_response(206 if first else 200)
        if first:
            self.send_header("Content-Range", f"bytes {first}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(content) - first))
        if self.script.etag:
            self.send_header("ETag", self.script.etag)
        self.end_headers()
        self.wfile.write(content[first : len(content) - cut])

    def _cut(self):
        self._good(cut=100_000)

    def _busy(self):
        self.send_error(503)

    def _absent(self):
        self.send_error(404)

    def _to_file(self):
        self._redirect("file:///etc/passwd")

    def _to_ftp(self):
        self._redirect("ftp://127.0.0.1/echo.tflite")

    def _redirect(self, address):
        self.send_response(302)
        self.send_header("Location", address)
        self.end_headers()

    def _first_byte(self):
        asked = self.headers.get("Range")
        condition = self.headers.get("If-Range")
        if not asked or (condition and condition != self.script.etag):
            return 0
        return int(asked.removeprefix("bytes=").removesuffix("-"))

    def log_message(self, *_):
        """Keep the test's output to what it says itself."""


@pytest.fixture
def script():
    return Script()


@pytest.fixture
def url(script):
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Scripted", (Handler,), {"script": script}))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/echo.tflite"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An own folder with the manifest of a model whose file is still elsewhere."""
    folder = tmp_path / "own"
    folder.mkdir()
    monkeypatch.setenv("EDGE_DETECT_MODELS", str(folder))
    path = write_model(folder, origin=f'url = "{ADDRESS}"')
    old = hashlib.sha256(path.read_bytes()).hexdigest()
    path.unlink()
    change_manifest(path, old, hashlib.sha256(CONTENT).hexdigest())
    return folder


def left_in(folder):
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


def pulled(folder):
    return (folder / "echo.tflite").read_bytes() == CONTENT


def test_a_pulled_model_is_whole_and_can_be_loaded(folder, url):
    assert not find_model("echo").present
    assert pull("echo", url=url) == folder / "echo.tflite"
    assert pulled(folder)
    assert left_in(folder) == ["echo.tflite", "echo.toml"]
    assert verify("echo") == (Verification.GOOD, "")
    with load_model("echo") as detector:
        assert detector.labels == ("thing",)


def test_progress_grows_to_the_size_of_the_file(folder, url):
    seen = []
    pull("echo", url=url, progress=lambda done, total: seen.append((done, total)))
    assert seen[0] == (0, len(CONTENT))
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert seen == sorted(seen)


def test_a_model_that_is_here_is_not_fetched_again(folder, url, script):
    pull("echo", url=url)
    pull("echo", url=url)
    assert len(script.requests) == 1


def test_a_damaged_file_is_replaced(folder, url):
    (folder / "echo.tflite").write_bytes(CONTENT[:-1])
    assert verify("echo")[0] is Verification.WRONG
    pull("echo", url=url)
    assert pulled(folder)


def test_a_connection_that_closes_early_is_resumed_in_the_same_call(folder, url, script):
    script.answers = ["cut", "cut", "good"]
    pull("echo", url=url)
    assert pulled(folder)
    here = len(CONTENT) - 100_000
    assert [request.get("Range") for request in script.requests] == [
        None,
        f"bytes={here}-",
        f"bytes={here}-",
    ]
    assert script.requests[1]["If-Range"] == '"one"'


def test_an_interrupted_download_goes_on_in_the_next_call(folder, url, script):
    script.answers = ["cut", "good"]
    with pytest.raises(DownloadError, match="the connection closed after 200520 of 300520 bytes"):
        pull("echo", url=url, budget_s=0)
    assert left_in(folder) == ["echo.tflite.part", "echo.tflite.part.tag", "echo.toml"]
    assert not find_model("echo").present
    pull("echo", url=url)
    assert script.requests[1]["Range"] == "bytes=200520-"
    assert pulled(folder)


def test_an_interrupt_from_the_keyboard_leaves_a_part_that_is_resumed(folder, url, script):
    def interrupt(done, total):
        if done > 50_000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pull("echo", url=url, progress=interrupt)
    assert (folder / "echo.tflite.part").stat().st_size > 50_000
    pull("echo", url=url)
    assert "Range" in script.requests[1]
    assert pulled(folder)


def test_a_part_that_is_complete_only_needs_its_name(folder, url):
    (folder / "echo.tflite.part").write_bytes(CONTENT)
    pull("echo", url=url)
    assert pulled(folder)


def test_a_file_that_changed_on_the_server_is_fetched_from_its_beginning(folder, url, script):
    (folder / "echo.tflite.part").write_bytes(b"of an older file")
    (folder / "echo.tflite.part.tag").write_text('"zero"')
    pull("echo", url=url)
    assert script.requests[0]["If-Range"] == '"zero"'
    assert pulled(folder)


def test_a_part_of_another_file_costs_a_second_try_and_no_more(folder, url, script):
    script.etag = ""
    (folder / "echo.tflite.part").write_bytes(b"of another file")
    pull("echo", url=url)
    assert [request.get("Range") for request in script.requests] == ["bytes=15-", None]
    assert pulled(folder)


def test_wrong_content_is_deleted_and_never_gets_the_name(folder, url, script):
    script.content = b"<html>Please log in to the hotel's network</html>" * 100
    with pytest.raises(DownloadError, match="is not the file of model 'echo': sha256 is") as error:
        pull("echo", url=url)
    assert not error.value.transient
    assert left_in(folder) == ["echo.toml"]


def test_a_busy_server_is_asked_again(folder, url, script):
    script.answers = ["busy", "good"]
    pull("echo", url=url)
    assert len(script.requests) == 2
    assert pulled(folder)


def test_a_missing_file_is_not_asked_for_again(folder, url, script):
    script.answers = ["absent"]
    with pytest.raises(DownloadError, match="answers 404 Not Found"):
        pull("echo", url=url)
    assert len(script.requests) == 1


def test_a_dead_server_ends_within_the_budget(folder):
    with pytest.raises(DownloadError, match="Connection refused") as error:
        pull("echo", url=f"http://127.0.0.1:{free_port()}/echo.tflite", budget_s=0.2)
    assert error.value.transient
    assert left_in(folder) == ["echo.toml"]


def test_a_server_that_never_answers_ends_within_the_budget(folder):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(DownloadError, match="timed out"), promptly():
            pull("echo", url=f"http://127.0.0.1:{port}/echo.tflite", timeout_s=0.2, budget_s=0.3)


def test_a_server_that_falls_silent_half_way_leaves_a_part(folder):
    def answer(listener, release):
        connection, _ = listener.accept()
        with connection:
            connection.recv(4096)
            head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(CONTENT)}\r\n\r\n".encode()
            connection.sendall(head + CONTENT[:1000])
            release.wait(HANG_S)

    release = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=answer, args=(listener, release))
        thread.start()
        port = listener.getsockname()[1]
        with pytest.raises(DownloadError, match="timed out"), promptly():
            pull("echo", url=f"http://127.0.0.1:{port}/echo.tflite", timeout_s=1.0, budget_s=0)
        release.set()
        thread.join()
    assert (folder / "echo.tflite.part").read_bytes() == CONTENT[:1000]


def test_a_full_disk_keeps_what_arrived_and_says_so(folder, url, script):
    """A limit on the size of files stops the write as a full disk does, half-way."""
    code = (
        "import sys\nfrom edge_detect.core import DownloadError\n"
        "from edge_detect.models import pull\n"
        "try:\n    pull('echo', url=sys.argv[1])\n"
        "except DownloadError as error:\n    print(error, error.transient)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, url],
        capture_output=True,
        text=True,
        check=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000)),
    )
    assert f"no room for the model in {folder}" in done.stdout
    assert "what has arrived is kept" in done.stdout
    assert done.stdout.endswith("False\n")
    assert (folder / "echo.tflite.part").read_bytes() == CONTENT[:100_000]
    assert len(script.requests) == 1
    pull("echo", url=url)
    assert script.requests[1]["Range"] == "bytes=100000-"
    assert pulled(folder)


def test_a_device_without_room_is_told_from_a_bad_network(folder, url):
    (folder / "echo.tflite.part").symlink_to("/dev/full")
    with pytest.raises(DownloadError, match=r"no room for the model in .*No space left") as error:
        pull("echo", url=url)
    assert not error.value.transient


def test_a_folder_that_cannot_be_written_says_what_to_do(monkeypatch, folder, tmp_path, url):
    obstacle = tmp_path / "file"
    obstacle.write_text("not a folder")
    monkeypatch.setenv("EDGE_DETECT_MODELS", str(obstacle / "models"))
    with pytest.raises(DownloadError, match="cannot write to") as error:
        pull("ssd_mobilenet_v2_coco_quant_postprocess", url=url)
    assert "EDGE_DETECT_MODELS" in error.value.hint


def test_two_pulls_at_once_fetch_the_file_once(folder, url, script):
    results = []
    threads = [
        threading.Thread(target=lambda: results.append(pull("echo", url=url))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [folder / "echo.tflite"] * 4
    assert len(script.requests) == 1
    assert pulled(folder)


@pytest.mark.parametrize("address", ["file:///etc/passwd", "ftp://host/a", "data:,x", "a.tflite"])
def test_only_http_is_fetched(folder, address):
    with pytest.raises(DownloadError, match="scheme"):
        pull("echo", url=address)


@pytest.mark.parametrize(
    ("answer", "says"), [("to_file", "is not allowed"), ("to_ftp", "cannot fetch ftp:.*scheme")]
)
def test_a_redirect_to_anything_but_http_is_not_followed(folder, url, script, answer, says):
    script.answers = [answer]
    with pytest.raises(DownloadError, match=says):
        pull("echo", url=url)
    assert left_in(folder) == ["echo.toml"]


def test_a_model_without_an_address_is_not_pulled(folder):
    change_manifest(folder / "echo.tflite", f'url = "{ADDRESS}"', "")
    with pytest.raises(ModelError, match="is not downloaded"):
        pull("echo")
