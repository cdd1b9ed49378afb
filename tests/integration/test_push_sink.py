"""The stream is pushed to a real RTSP server, which decodes it and reads the pictures."""

import contextlib
import json
import threading
import time

import pytest
from recordings import Camera, stream_info
from servers.programs import Program, silent_port

from edge_detect.core import SinkError
from edge_detect.sinks import open_sink


class RecordServer(Program):
    """The server, and what it has seen so far."""

    def __init__(self, *arguments: str) -> None:
        super().__init__("record_server.py", *arguments)
        self.seen: list[dict] = []
        threading.Thread(target=self._read, name="record-server", daemon=True).start()

    def _read(self) -> None:
        with contextlib.suppress(ValueError):
            self.seen.extend(json.loads(line) for line in self._process.stdout)

    @property
    def numbers(self) -> list[int | None]:
        return [each["number"] for each in self.seen]


@contextlib.contextmanager
def record_server(*arguments: str):
    with contextlib.closing(RecordServer(*arguments)) as server:
        yield server


@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_the_server_gets_every_picture_undamaged_and_soon(transport) -> None:
    encoded: list[int] = []
    camera = Camera(640, 360)
    with record_server() as server:
        url = f"rtsp-push://127.0.0.1:{server.port}/live?transport={transport}"
        with open_sink(url) as sink:
            sink.open(stream_info(encoded=encoded))
            camera.feed_live(sink, lambda: len(server.seen) >= 60)
    numbers = server.numbers
    assert numbers == list(range(len(numbers)))
    assert len(encoded) >= 60
    assert server.seen[0]["size"] == [640, 360]
    ages = sorted(each["age_ms"] for each in server.seen)
    assert ages[len(ages) // 2] < 500
