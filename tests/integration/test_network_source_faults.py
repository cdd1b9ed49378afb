"""What goes wrong with cameras on a network is caused for real, and ends in a clear error."""

import contextlib
import logging
import socket
import threading
import time
import traceback

import pytest
from support.ports import free_port
from support.servers import pattern
from support.servers.programs import Proxy, http_server, rtsp_server, silent_port
from support.streams import PASSWORD, USER, connected, read_error
from support.waiting import HANG_S, promptly, wait_for

from edge_detect.core import SourceError
from edge_detect.sources import open_source


@pytest.fixture(scope="module")
def web():
    with http_server() as server:
        yield f"http://127.0.0.1:{server.port}"


def stream_threads() -> int:
    return sum(thread.name == "edge-stream" for thread in threading.enumerate())


def read_to_the_end(source) -> tuple[SourceError, float]:
    """The error that ends a source, and how many seconds it took to come."""
    start = time.monotonic()
    with pytest.raises(SourceError) as caught:
        while source.read() is not None:
            pass
    return caught.value, time.monotonic() - start


def test_a_camera_that_is_killed_is_a_loss_that_may_pass() -> None:
    with (
        rtsp_server() as server,
        connected(f"rtsp://127.0.0.1:{server.port}/live?read_timeout={HANG_S:g}") as (source, _),
    ):
        server.kill()
        # By the end of the connection, not by its silence.
        with promptly():
            error, _ = read_to_the_end(source)
        assert error.transient
        # Whoever asks again is told again.
        with pytest.raises(SourceError):
            source.read()


@pytest.mark.parametrize("start", [rtsp_server, http_server])
def test_a_camera_that_freezes_is_noticed_by_its_silence(start) -> None:
    with start() as server:
        path = f"rtsp://127.0.0.1:{server.port}/live"
        if start is http_server:
            path = f"http://127.0.0.1:{server.port}/mjpeg"
        with connected(f"{path}?read_timeout=1") as (source, _):
            server.freeze()
            with promptly():
                error, seconds = read_to_the_end(source)
            assert error.transient
            assert seconds > 0.3
        server.thaw()
        with connected(path) as (_, frame):
            assert pattern.read(frame.image) is not None


def test_a_camera_may_come_back_with_another_size_and_codec() -> None:
    port = str(free_port())
    url = f"rtsp://127.0.0.1:{port}/live"
    with rtsp_server("--port", port) as server, connected(url) as (source, frame):
        assert frame.size == (320, 240)
        server.kill()
        read_to_the_end(source)
    for arguments, size in (
        (("--codec", "h265", "--size", "640x368"), (640, 368)),
        (("--codec", "mjpeg", "--size", "160x120"), (160, 120)),
    ):
        with (
            rtsp_server(*arguments, "--port", port),
            connected(url) as (source, frame),
        ):
            assert frame.size == source.size == size
            assert pattern.read(frame.image) is not None


def watch(url: str, done) -> tuple[int, int]:
    """Read a bad stream, connecting again when it is lost, until `done` or for a minute.

    Returns:
        How many pictures came, and how many of them were damaged.
    """
    came = damaged = 0
    end = time.monotonic() + 60
    while time.monotonic() < end and not done(came):
        with open_source(url) as source, contextlib.suppress(SourceError):
            while time.monotonic() < end and not done(came):
                frame = source.read()
                came += 1
                damaged += pattern.read(frame.image) is None
    return came, damaged


@pytest.mark.parametrize("kind", ["rtsp", "rtsp-mjpeg", "live.ts", "mjpeg"])
def test_garbage_in_the_bytes_crashes_nothing_and_little_of_it_is_shown(kind) -> None:
    with contextlib.ExitStack() as stack:
        if kind.startswith("rtsp"):
            codec = "mjpeg" if kind == "rtsp-mjpeg" else "h264"
            server = stack.enter_context(rtsp_server("--codec", codec, "--fps", "90"))
            path = "rtsp://127.0.0.1:{}/live"
        else:
            server = stack.enter_context(http_server())
            path = f"http://127.0.0.1:{{}}/{kind}?fps=90"
        proxy = stack.enter_context(contextlib.closing(Proxy(server.port, damage=0.05)))
        url = path.format(proxy.port)
        url += f"{'&' if '?' in url else '?'}read_timeout=1&open_timeout=2"
        came, damaged = watch(url, lambda came: came >= 60 and proxy.damaged >= 8)
        assert proxy.damaged >= 8
        assert came >= 60
        # Nothing tells of the damage within a JPEG picture. In H.264 the decoder notices nearly
        # all of it, and what it does not is smeared over as many as 14 pictures.
        if kind in ("rtsp", "live.ts"):
            assert damaged <= 0.4 * came
        wait_for(lambda: not stream_threads())


@pytest.mark.parametrize(
    ("path", "fact"),
    [
        ("missing", "there is no stream"),
        ("loop", "cannot open"),
        ("html", "cannot open|no video"),
        ("empty", "cannot open|no video"),
        ("silent?open_timeout=0.5", "no video within 0.5 s"),
        ("garbage?open_timeout=0.5", "no video within 0.5 s|no video that"),
    ],
)
def test_what_is_no_camera_on_the_web_is_a_clear_error_in_time(web, path, fact) -> None:
    with (
        open_source(f"{web}/{path}") as source,
        promptly(),
        pytest.raises(SourceError, match=fact) as caught,
    ):
        source.read()
    assert caught.value.transient
    assert caught.value.hint


def test_a_wrong_path_and_a_closed_port_are_clear_errors() -> None:
    with rtsp_server() as server:
        url = f"rtsp://127.0.0.1:{server.port}"
        assert "there is no stream at" in read_error(f"{url}/other").message
    error = read_error(f"{url}/live")
    assert "nothing listens at" in error.message
    assert error.transient


@pytest.mark.parametrize("scheme", ["rtsp", "rtsps", "http", "https"])
def test_a_half_open_server_is_left_after_the_timeout(scheme) -> None:
    with silent_port() as port:
        with promptly():
            error = read_error(f"{scheme}://127.0.0.1:{port}/live?open_timeout=0.3")
        assert "showed no video within 0.3 s" in error.message
        assert error.transient
        wait_for(lambda: not stream_threads())


def test_a_redirect_cannot_reach_local_files(web, write_video, grey_steps) -> None:
    path = write_video("private.mp4", grey_steps)
    assert "cannot open" in read_error(f"{web}/local?path={path}").message


@pytest.mark.parametrize("kind", ["basic", "digest", "http"])
def test_a_refused_login_is_final_and_no_text_holds_the_password(kind, web, caplog, capfd) -> None:
    caplog.set_level(logging.DEBUG)
    with contextlib.ExitStack() as stack:
        if kind == "http":
            place = f"{web.removeprefix('http://')}/private/mjpeg"
        else:
            digest = ("--digest",) if kind == "digest" else ()
            login = ("--user", USER, "--password", PASSWORD)
            server = stack.enter_context(rtsp_server(*login, *digest))
            place = f"127.0.0.1:{server.port}/live"
        scheme = "http" if kind == "http" else "rtsp"
        wrong = read_error(f"{scheme}://gardener:geheim@{place}?token=geheim")
        none = read_error(f"{scheme}://{place}")
    assert not wrong.transient
    assert not none.transient
    assert "refused the user or password" in wrong.message
    assert "asks for a password" in none.message
    assert "EDGE_DETECT_SOURCE_USER" in none.hint
    check_silence(wrong, caplog, capfd)


def test_no_other_error_holds_the_password_either(web, caplog, capfd) -> None:
    caplog.set_level(logging.DEBUG)
    for path in ("missing", "forbidden", "loop", "html", "empty", "silent", "cut.mp4"):
        url = f"{web.replace('//', '//gardener:geheim@')}/{path}?token=geheim&open_timeout=0.5"
        check_silence(read_error(url), caplog, capfd)
    for host in (f"127.0.0.1:{free_port()}", "camera.invalid"):
        check_silence(read_error(f"rtsp://gardener:geheim@{host}/x"), caplog, capfd)


def check_silence(error: SourceError, caplog, capfd) -> None:
    """No part of an error, its causes and what was printed shows user or password."""
    assert error.__cause__ is None
    assert error.__context__ is None
    shown = [str(error), repr(error), error.hint, *traceback.format_exception(error)]
    text = "".join([*shown, caplog.text, *capfd.readouterr()])
    assert "geheim" not in text
    assert "gardener" not in text


def test_a_camera_that_sends_a_byte_now_and_then_holds_a_few_connections_alone() -> None:
    stop, clients = threading.Event(), []

    def dribble(client: socket.socket) -> None:
        clients.append(client)
        with client, contextlib.suppress(OSError):
            while not stop.wait(0.05):
                client.sendall(b"x")

    with dribbling_server(dribble) as port, contextlib.ExitStack() as at_the_end:
        at_the_end.callback(stop.set)
        url = f"rtsp://127.0.0.1:{port}/live?open_timeout=0.1&read_timeout=0.1"

        def message() -> str:
            with open_source(url) as source:
                return read_to_the_end(source)[0].message

        wait_for(lambda: "still holds 8 connections" in message())
        held = len(clients)
        assert "still holds" in message()
        assert len(clients) == held
        stop.set()
        wait_for(lambda: "still holds" not in message())


@contextlib.contextmanager
def dribbling_server(answer):
    """A server that answers each client in a thread of its own."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    client, _ = listener.accept()
                    threading.Thread(target=answer, args=(client,), daemon=True).start()

        accepting = threading.Thread(target=serve, daemon=True)
        accepting.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            accepting.join(HANG_S)


def test_a_reader_that_gives_up_waiting_leaves_no_thread_behind() -> None:
    with silent_port() as port, open_source(f"rtsp://127.0.0.1:{port}/x?open_timeout=1") as source:
        reader = threading.Thread(target=source.read)
        reader.start()
        wait_for(stream_threads)
        source.close()
        # Not before the connection's own thread, which ends by its timeout.
        reader.join()
        assert stream_threads()
        wait_for(lambda: not stream_threads())
