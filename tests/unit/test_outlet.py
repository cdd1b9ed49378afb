"""A sink that fails takes nobody along, and works again when it can."""

import threading
from collections.abc import Callable
from contextlib import suppress

import pytest
from support.stream_info import stream_of
from support.waiting import HANG_S, promptly, wait_for

from edge_detect.core import EdgeDetectError, Picture, Result, SinkError
from edge_detect.core.backoff import Backoff
from edge_detect.pipeline.mailbox import Closed, Mailbox
from edge_detect.pipeline.outlet import Outlet
from edge_detect.sinks import Sink, StreamInfo


class ScriptedSink(Sink):
    """Fails at the times it is told; None stands for a write that works."""

    name = "scripted"
    takes_results = True

    def __init__(self, *writes: Exception | None, opens: tuple[Exception | None, ...] = ()) -> None:
        self._writes, self._opens = list(writes), list(opens)
        self.log: list[object] = []

    def open(self, stream: StreamInfo) -> None:
        self._follow(self._opens)
        self.log.append("open")

    def write_result(self, result: Result) -> None:
        self._follow(self._writes)
        self.log.append(result.frame.sequence)

    def close(self) -> None:
        self.log.append("close")

    def _follow(self, script: list[Exception | None]) -> None:
        outcome = script.pop(0) if script else None
        if outcome is not None:
            raise outcome


@pytest.fixture
def start():
    """A function that starts an outlet in a thread and gives its mailbox."""
    boxes: list[Mailbox[Result | Picture]] = []
    threads: list[threading.Thread] = []

    def run(outlet: Outlet) -> Mailbox[Result | Picture]:
        outlet.open(stream_of())
        box: Mailbox[Result | Picture] = Mailbox(4, lossy=True)
        boxes.append(box)
        threads.append(threading.Thread(target=quietly(outlet.run, box)))
        threads[-1].start()
        return box

    yield run
    for box in boxes:
        box.abort()
    for thread in threads:
        with promptly():
            thread.join(HANG_S)


def quietly(work: Callable, box: Mailbox) -> Callable[[], None]:
    def run() -> None:
        with suppress(Closed):
            work(box)

    return run


def quick() -> Backoff:
    return Backoff(0.01, 0.1)


def transient(text: str = "server away") -> SinkError:
    return SinkError(text, transient=True)


def test_a_sink_that_fails_for_the_moment_is_closed_and_opened_again(start, result_of) -> None:
    sink = ScriptedSink(None, transient(), opens=(None, transient("still away"), None))
    given_up: list[EdgeDetectError] = []
    outlet = Outlet(sink, retry=True, given_up=given_up.append, backoff=quick())
    box = start(outlet)
    box.put(result_of(sequence=0))
    wait_for(lambda: sink.log == ["open", 0])
    box.put(result_of(sequence=1))
    wait_for(lambda: sink.log[2:] == ["close", "close", "open"])
    assert outlet.status().failures == 2
    assert outlet.status().state == "open"
    box.put(result_of(sequence=2))
    wait_for(lambda: sink.log[-1] == 2)
    assert not given_up


def test_a_sink_that_fails_for_good_says_so_and_stays_closed(start, result_of) -> None:
    sink = ScriptedSink(SinkError("no space left"))
    given_up: list[EdgeDetectError] = []
    outlet = Outlet(sink, retry=True, given_up=given_up.append)
    start(outlet).put(result_of())
    wait_for(lambda: bool(given_up))
    assert outlet.dead
    assert not outlet.open_now
    assert outlet.status().reason == "no space left"
    assert sink.log == ["open", "close"]


def test_a_defect_in_a_sink_is_reported_as_one_and_stays_its_own(start, result_of, caplog) -> None:
    given_up: list[EdgeDetectError] = []
    outlet = Outlet(ScriptedSink(KeyError("x")), retry=True, given_up=given_up.append)
    start(outlet).put(result_of())
    wait_for(lambda: bool(given_up))
    assert given_up[0].exit_code == 70
    assert "KeyError" in caplog.text


def test_a_sink_that_is_away_at_the_start_is_waited_for(start, result_of) -> None:
    sink = ScriptedSink(opens=(transient(), None))
    outlet = Outlet(sink, retry=True, given_up=pytest.fail, backoff=quick())
    box = start(outlet)
    wait_for(lambda: outlet.open_now)
    box.put(result_of(sequence=7))
    wait_for(lambda: sink.log[-1] == 7)


def test_without_retry_the_first_error_is_everybodys(result_of) -> None:
    outlet = Outlet(ScriptedSink(transient()), retry=False, given_up=pytest.fail)
    outlet.open(stream_of())
    box: Mailbox[Result | Picture] = Mailbox(1, lossy=False)
    box.put(result_of())
    with pytest.raises(SinkError, match="server away"):
        outlet.run(box)


def test_an_impossible_sink_is_an_error_at_the_start() -> None:
    outlet = Outlet(
        ScriptedSink(opens=(SinkError("port in use"),)), retry=True, given_up=pytest.fail
    )
    with pytest.raises(SinkError, match="port in use"):
        outlet.open(stream_of())
