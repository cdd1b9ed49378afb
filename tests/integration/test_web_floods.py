"""What strangers may do to the page without anyone noticing."""

import socket
import threading
import time
from contextlib import ExitStack, contextmanager

import httpx
import pytest
from support.waiting import wait_for
from support.web_clients import connect, read_parts, served

from edge_detect.sinks.web import connections

FPS = 25
ASK = b"GET /api/state HTTP/1.1\r\nHost: localhost\r\n\r\n"


class Watcher:
    """A viewer in a thread, and how long it ever had to wait for a picture."""

    def __init__(self, sink):
        self.pictures = 0
        self.longest_s = 0.0
        self._stop = threading.Event()
        self._client = httpx.Client(base_url=sink.address, timeout=10)
        self._thread = threading.Thread(target=self._run, name="test-watcher", daemon=True)
        self._thread.start()
        wait_for(lambda: self.pictures > 3)
        self.longest_s = 0.0

    def _run(self):
        with self._client.stream("GET", "/stream.mjpg") as answer:
            before = time.monotonic()
            for _ in read_parts(answer):
                now = time.monotonic()
                self.longest_s = max(self.longest_s, now - before)
                before = now
                self.pictures += 1
                if self._stop.is_set():
                    return

    def close(self):
        self._stop.set()
        self._thread.join(10)
        assert not self._thread.is_alive()
        self._client.close()


@contextmanager
def watched():
    with served() as (sink, _):
        watcher = Watcher(sink)
        try:
            yield sink, watcher
        finally:
            watcher.close()


def answers(sink, path="/api/state"):
    """Whether a new client is served, and soon."""
    return httpx.get(f"{sink.address.rstrip('/')}{path}", timeout=3).status_code == 200


def test_fifty_connections_a_second_do_not_disturb_a_viewer():
    """A third hangs up without a word, a third asks and hangs up, a third asks and stays."""
    with watched() as (sink, watcher), ExitStack() as stack:
        started, pictures = time.monotonic(), watcher.pictures
        for number in range(200):
            connection = connect(sink, b"" if number % 3 == 0 else ASK)
            if number % 3 == 2:
                stack.enter_context(connection)
            else:
                connection.close()
            due = started + (number + 1) / 50
            time.sleep(max(0, due - time.monotonic()))
            if number % 50 == 49:
                assert answers(sink)
        elapsed = time.monotonic() - started
        assert watcher.pictures - pictures > 0.7 * FPS * elapsed
        assert watcher.longest_s < 1


def test_half_open_requests_keep_nobody_out_and_are_closed():
    with watched() as (sink, watcher), ExitStack() as stack:
        pictures, started = watcher.pictures, time.monotonic()
        held = []
        for _ in range(300):
            held.append(stack.enter_context(connect(sink, b"GET / HTTP/1.1\r\nHost: local")))
            if len(held) % 50 == 0:
                assert answers(sink)
        elapsed = time.monotonic() - started
        assert watcher.longest_s < 1
        assert watcher.pictures - pictures >= 0.5 * FPS * elapsed - 2
        for connection in held[:200]:
            assert is_closed(connection), "the oldest give way at once"
        started = time.monotonic()
        for connection in held[200:]:
            assert is_closed(connection, connections.REQUEST_S + 3)
        assert time.monotonic() - started < connections.REQUEST_S + 3


def is_closed(connection, timeout_s=3.0):
    connection.settimeout(timeout_s)
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True
    except TimeoutError:
        return False


def test_drops_of_a_request_do_not_prolong_its_time(monkeypatch):
    monkeypatch.setattr(connections, "REQUEST_S", 1.5)
    with served() as (sink, _), connect(sink, b"GET / HTTP/1.1\r\n") as connection:
        started = time.monotonic()
        connection.settimeout(0.3)
        while time.monotonic() - started < connections.REQUEST_S + 5:
            try:
                connection.sendall(b"X-Slow: 1\r\n")
                if connection.recv(1) == b"":
                    break
            except TimeoutError:
                continue
            except (ConnectionResetError, BrokenPipeError):
                break
        assert time.monotonic() - started < connections.REQUEST_S + 2


def test_a_second_request_on_a_connection_has_the_same_time_limit(monkeypatch):
    monkeypatch.setattr(connections, "REQUEST_S", 1.5)
    with served() as (sink, _), connect(sink, ASK) as connection:
        data = b""
        while not data.endswith(b"]}"):
            data += connection.recv(65536)
        connection.sendall(b"GET / HTTP")
        started = time.monotonic()
        assert is_closed(connection, connections.REQUEST_S + 3)
        assert time.monotonic() - started > 1


@pytest.mark.parametrize("form", ["one header", "many headers", "a target", "no line"])
def test_a_megabyte_of_headers_is_refused_before_it_is_taken_in(form):
    padding = b"a" * 1_000_000
    text = {
        "one header": b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + padding,
        "many headers": b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"X: y\r\n" * 200_000,
        "a target": b"GET /" + padding,
        "no line": padding,
    }[form]
    with watched() as (sink, watcher):
        connection = connect(sink)
        refused = send_until_refused(connection, text)
        connection.close()
        assert refused
        assert watcher.longest_s < 1
        assert answers(sink)


def send_until_refused(connection, text):
    """Whether the server hung up on it."""
    connection.settimeout(3)
    try:
        connection.sendall(text)
        while data := connection.recv(65536):
            assert not data.startswith(b"HTTP/1.1 2")
    except (ConnectionResetError, BrokenPipeError):
        return True
    except TimeoutError:
        return False
    return True


def test_nonsense_and_a_body_that_never_comes_end_the_connection():
    with watched() as (sink, watcher):
        for text in (
            bytes(range(256)) * 4 + b"\r\n\r\n",
            b"GET / HTTP/1.1\r\n\r\n",
            b"POST /api/state HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9999999\r\n\r\nabc",
        ):
            with connect(sink, text) as connection:
                data = b""
                while chunk := connection.recv(65536):
                    data += chunk
                assert data.startswith((b"HTTP/1.1 400", b"HTTP/1.1 405"))
        assert watcher.longest_s < 1


def test_a_viewer_who_never_reads_is_cut_off(monkeypatch):
    monkeypatch.setattr(connections, "STUCK_S", 0.5)
    with served() as (sink, _):
        text = b"GET /stream.mjpg?quality=95 HTTP/1.1\r\nHost: localhost\r\n\r\n"
        with connect(sink, text, receive_buffer=4096):
            wait_for(lambda: sink.viewers == 1)
            wait_for(lambda: sink.viewers == 0, 20)


def test_viewers_who_vanish_free_their_places():
    with served(viewers=2) as (sink, _):
        text = b"GET /stream.mjpg HTTP/1.1\r\nHost: localhost\r\n\r\n"
        for _ in range(10):
            connection = connect(sink, text)
            connection.recv(100)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            connection.close()
            wait_for(lambda: sink.viewers == 0)
