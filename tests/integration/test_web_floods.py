"""What strangers may do to the page without anyone noticing."""

import socket
import threading
import time
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from itertools import count

import httpx
import pytest
from support.waiting import HANG_S, PROMPT_S, promptly, wait_for
from support.web_clients import PATIENT, connect, read_parts, served

ASK = b"GET /api/state HTTP/1.1\r\nHost: localhost\r\n\r\n"
WATCH = b"GET /stream.mjpg?quality=95 HTTP/1.1\r\nHost: localhost\r\n\r\n"
# What does not end by itself lasts longer than any test.
ENDLESS = replace(PATIENT, request_s=HANG_S, stuck_s=HANG_S)


# Two seconds of the camera, by its own count: where the machine is busy it gives fewer frames, too.
LONGEST_GAP = 50


class Watcher:
    """A viewer in a thread, who sees one picture after the other.

    Attributes:
        pictures: How many it has seen.
        longest_gap: The most frames that the camera has given between two of them.
    """

    def __init__(self, sink, camera):
        self.pictures = self.longest_gap = 0
        self._camera = camera
        self._stop = threading.Event()
        self._client = httpx.Client(base_url=sink.address, timeout=PROMPT_S)
        self._thread = threading.Thread(target=self._run, name="test-watcher", daemon=True)
        self._thread.start()
        self.sees_more()
        with self._share() as self._quiet:
            pass

    def _run(self):
        with self._client.stream("GET", "/stream.mjpg") as answer:
            before = self._camera.fed
            for _ in read_parts(answer):
                fed = self._camera.fed
                self.longest_gap = max(self.longest_gap, fed - before)
                before = fed
                self.pictures += 1
                if self._stop.is_set():
                    return

    def sees_more(self):
        """Wait for two pictures: the second one was not even captured when this was called."""
        before = self.pictures
        wait_for(lambda: self.pictures >= before + 2, PROMPT_S)

    @contextmanager
    def undisturbed(self):
        """Fail when it sees far fewer of the camera's frames than it did at first."""
        with self._share() as flooded:
            yield
        quiet = self._quiet[0]
        assert flooded[0] > quiet / 3, f"it saw {flooded[0]:.0%}, and {quiet:.0%} undisturbed"
        assert self.longest_gap < LONGEST_GAP

    @contextmanager
    def _share(self):
        """Of the frames of a block, and of half a second at least, those that it saw; in a list."""
        share = []
        pictures, fed = self.pictures, self._camera.fed
        yield share
        wait_for(lambda: self._camera.fed >= fed + 12)
        share.append((self.pictures - pictures) / (self._camera.fed - fed))

    def close(self):
        self._stop.set()
        self._thread.join(PROMPT_S)
        assert not self._thread.is_alive()
        self._client.close()


@contextmanager
def watched(timeouts=ENDLESS):
    with served(timeouts=timeouts) as (sink, camera):
        watcher = Watcher(sink, camera)
        try:
            yield sink, watcher
        finally:
            watcher.close()


@pytest.fixture(scope="module")
def watched_page():
    """A page with a viewer, for those tests that leave nothing behind."""
    with watched() as (sink, watcher):
        yield sink, watcher


def answers(sink, path="/api/state"):
    """Whether a new client is served while others hang."""
    address = f"{sink.address.rstrip('/')}{path}"
    return httpx.get(address, timeout=PROMPT_S).status_code == 200


def test_a_flood_of_connections_disturbs_no_viewer():
    """A third hangs up without a word, a third asks and hangs up, a third asks and stays."""
    with watched() as (sink, watcher), ExitStack() as stack, watcher.undisturbed():
        for number in range(200):
            connection = connect(sink, b"" if number % 3 == 0 else ASK)
            if number % 3 == 2:
                stack.enter_context(connection)
            else:
                connection.close()
            if number % 50 == 49:
                watcher.sees_more()
                assert answers(sink)


def test_half_open_requests_keep_nobody_out_and_the_oldest_give_way():
    with watched() as (sink, watcher), ExitStack() as stack:
        held = []
        with watcher.undisturbed():
            for _ in range(300):
                held.append(stack.enter_context(connect(sink, b"GET / HTTP/1.1\r\nHost: local")))
                if len(held) % 50 == 0:
                    assert answers(sink)
                    watcher.sees_more()
        with promptly():
            assert all(is_closed(connection) for connection in held[:200])


def test_half_open_requests_are_closed_when_their_time_is_over():
    with served(timeouts=replace(PATIENT, request_s=0.5)) as (sink, _), ExitStack() as stack:
        started = time.monotonic()
        held = [stack.enter_context(connect(sink, text)) for text in (b"", b"GET", ASK[:-2])]
        assert all(is_closed(connection) for connection in held)
        assert time.monotonic() - started > 0.49


def is_closed(connection):
    connection.settimeout(PROMPT_S)
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True
    except TimeoutError:
        return False


def test_drops_of_a_request_do_not_prolong_its_time():
    timeouts = replace(PATIENT, request_s=0.5)
    with (
        served(timeouts=timeouts) as (sink, _),
        connect(sink, b"GET / HTTP/1.1\r\n") as connection,
        promptly(),
    ):
        connection.settimeout(0.05)
        for drops in count():
            try:
                connection.sendall(b"X-Slow: 1\r\n")
                if connection.recv(1) == b"":
                    break
            except TimeoutError:
                assert drops * 0.05 < PROMPT_S
            except (ConnectionResetError, BrokenPipeError):
                break


def test_a_second_request_on_a_connection_has_the_same_time_limit():
    timeouts = replace(PATIENT, request_s=0.5)
    with served(timeouts=timeouts) as (sink, _), connect(sink, ASK) as connection:
        data = b""
        while not data.endswith(b"]}"):
            data += connection.recv(65536)
        started = time.monotonic()
        connection.sendall(b"GET / HTTP")
        assert is_closed(connection)
        assert time.monotonic() - started > 0.49


@pytest.mark.parametrize("form", ["one header", "many headers", "a target", "no line"])
def test_a_megabyte_of_headers_is_refused_before_it_is_taken_in(watched_page, form):
    padding = b"a" * 1_000_000
    text = {
        "one header": b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + padding,
        "many headers": b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"X: y\r\n" * 200_000,
        "a target": b"GET /" + padding,
        "no line": padding,
    }[form]
    sink, watcher = watched_page
    with watcher.undisturbed(), connect(sink) as connection:
        assert is_refused(connection, text)
    watcher.sees_more()
    assert answers(sink)


def is_refused(connection, text):
    """Whether the server hangs up on it."""
    try:
        connection.sendall(text)
        while data := connection.recv(65536):
            assert not data.startswith(b"HTTP/1.1 2")
    except (ConnectionResetError, BrokenPipeError):
        return True
    except TimeoutError:
        return False
    return True


def test_nonsense_and_a_body_that_never_comes_end_the_connection(watched_page):
    sink, watcher = watched_page
    texts = (
        bytes(range(256)) * 4 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"POST /api/state HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9999999\r\n\r\nabc",
    )
    with watcher.undisturbed():
        for text in texts:
            with connect(sink, text) as connection:
                data = b""
                while chunk := connection.recv(65536):
                    data += chunk
                assert data.startswith((b"HTTP/1.1 400", b"HTTP/1.1 405"))
    watcher.sees_more()


def test_a_viewer_who_never_reads_is_cut_off():
    timeouts = replace(PATIENT, stuck_s=0.3)
    with served(timeouts=timeouts) as (sink, _), connect(sink, WATCH, receive_buffer=4096):
        wait_for(lambda: sink.viewers == 1)
        wait_for(lambda: sink.viewers == 0)


def test_viewers_who_vanish_free_their_places():
    with served(viewers=2, timeouts=ENDLESS) as (sink, _):
        for _ in range(10):
            connection = connect(sink, WATCH)
            connection.recv(100)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            connection.close()
            wait_for(lambda: sink.viewers == 0)
