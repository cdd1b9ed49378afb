"""What may be changed while a pipeline runs: its sinks, its limits, its switch."""

import threading

import numpy as np
import pytest
from support.waiting import HANG_S, PROMPT_S, promptly, wait_for

import edge_detect as ed
from edge_detect.core import SinkError, StageError
from edge_detect.sinks import Sink

MODEL = "ssdlite-mobilenet-v2-pedestrian"
CAMERA = "synthetic://?size=320x180&fps=30&realtime=true"


class Collector(Sink):
    """Counts what it is given; fails or hangs on demand."""

    name = "collector"
    takes_results = True
    takes_pictures = True

    def __init__(self):
        self.opened = self.closed = 0
        self.results, self.pictures = [], 0
        self.captured_ns = []
        self.fail = False
        self.hang = threading.Event()
        self.hang.set()

    def open(self, stream):
        self.opened += 1

    def write_result(self, result):
        self.hang.wait(HANG_S)
        if self.fail:
            raise SinkError("it is away", transient=True)
        self.results.append(result.frame.sequence)
        self.captured_ns.append(result.frame.captured_ns)

    def write_picture(self, picture):
        self.pictures += 1

    def close(self):
        self.closed += 1


@pytest.fixture(scope="module")
def detector():
    with ed.load_model(MODEL, threads=1) as loaded:
        yield loaded


@pytest.fixture
def pipeline(detector):
    with ed.Pipeline(CAMERA, model=detector) as running:
        running.start()
        yield running


def test_a_sink_that_is_attached_gets_results_and_pictures_until_it_is_detached(pipeline):
    sink = Collector()
    pipeline.attach(sink)
    wait_for(lambda: len(sink.results) > 3 and sink.pictures > 3)
    assert [each.name for each in pipeline.report().sinks] == ["collector"]
    pipeline.detach(sink)
    assert (sink.opened, sink.closed) == (1, 1)
    seen, captured = len(sink.results), pipeline.statistics.rates["captured"].count
    wait_for(lambda: pipeline.statistics.rates["captured"].count > captured + 10)
    assert len(sink.results) == seen
    assert not pipeline.report().sinks
    assert "collector" not in pipeline._line.crew.alive()


def test_sinks_come_and_go_without_a_lost_frame_for_the_others(pipeline):
    steady = Collector()
    pipeline.attach(steady)
    wait_for(lambda: steady.results)
    threads = len(pipeline._line.crew._threads)
    for _ in range(10):
        passing = Collector()
        pipeline.attach(passing)
        wait_for(lambda passing=passing: passing.results)
        pipeline.detach(passing)
    dropped = pipeline.report().dropped
    first, last = steady.results[0], steady.results[-1]
    assert len(steady.results) + dropped.get("prepare", 0) + dropped.get("detect", 0) >= (
        last - first + 1
    )
    assert steady.results == sorted(set(steady.results))
    assert "collector" not in dropped
    assert len(pipeline._line.crew._threads) == threads


def test_an_attached_sink_that_fails_is_opened_again_and_the_rest_goes_on(pipeline):
    sink = Collector()
    sink.fail = True
    pipeline.attach(sink)
    wait_for(lambda: pipeline.report().sinks and pipeline.report().sinks[0].state == "failed")
    sink.fail = False
    wait_for(lambda: sink.results, 20)
    assert sink.opened >= 2


def test_a_sink_that_hangs_is_said_to_and_its_detaching_ends_in_time(pipeline):
    sink = Collector()
    pipeline.attach(sink)
    sink.hang.clear()
    wait_for(lambda: pipeline.busy_s().get("collector", 0) > 0.2)
    with promptly(), pytest.raises(StageError, match="collector did not close within 1 s"):
        pipeline.detach(sink)
    detected = pipeline.statistics.rates["detected"].count
    wait_for(lambda: pipeline.statistics.rates["detected"].count > detected + 2)
    sink.hang.set()


def test_the_rate_of_detections_is_held_to_its_limit_and_set_free_again(pipeline):
    sink = Collector()
    pipeline.attach(sink)
    wait_for(lambda: len(sink.results) > 3)
    pipeline.controls.set_max_fps(5)
    before = len(sink.captured_ns)
    wait_for(lambda: len(sink.captured_ns) >= before + 8)
    # Of eight, one was under way, and one is allowed at once after a pause.
    limited = sink.captured_ns[before + 1 : before + 8]
    assert limited[-1] - limited[0] > 4 * 0.2e9
    pipeline.controls.set_max_fps(None)
    before = len(sink.results)
    # Frames in a row, of which the limit would leave out four of five.
    wait_for(lambda: len(sink.results) > before + 5 and min(np.diff(sink.results[before:])) == 1)


@pytest.mark.parametrize("overlay", ["latest", "exact"])
def test_pictures_go_on_while_detection_is_off(detector, overlay):
    with ed.Pipeline(CAMERA, model=detector, overlay=overlay) as pipeline:
        pipeline.start()
        sink = Collector()
        pipeline.attach(sink)
        wait_for(lambda: sink.results and sink.pictures)
        pipeline.set_enabled(False)
        seen = len(sink.results)
        pictures = sink.pictures
        wait_for(lambda: sink.pictures > pictures + 15)
        assert len(sink.results) <= seen + 2
        pipeline.set_enabled(True)
        wait_for(lambda: len(sink.results) > seen + 5)


def test_the_threshold_holds_from_the_next_frame_on(pipeline):
    pipeline.controls.set_score_threshold(0.0)
    wait_for(lambda: pipeline.statistics.detections > 10)
    pipeline.controls.set_score_threshold(1.0)
    detected = pipeline.statistics.rates["detected"]
    wait_for(lambda count=detected.count: detected.count >= count + 2)
    found = pipeline.statistics.detections
    wait_for(lambda count=detected.count: detected.count >= count + 5)
    assert pipeline.statistics.detections == found
    assert pipeline.report().model.score_threshold == 1.0
    with pytest.raises(ValueError, match="from 0 to 1"):
        pipeline.controls.set_score_threshold(1.5)


def test_totals_tell_exactly_what_happened_between_two_moments(pipeline):
    pipeline.attach(Collector())
    wait_for(lambda: pipeline.totals().frames["detected"] > 3)
    first = pipeline.totals()
    wait_for(lambda: pipeline.totals().frames["detected"] > first.frames["detected"] + 10)
    last = pipeline.totals()
    between = last.since(first)
    assert between.frames["detected"] == last.frames["detected"] - first.frames["detected"]
    assert between.durations["invoke"].count == pytest.approx(between.frames["detected"], abs=2)
    assert between.span_s == pytest.approx((last.at_ns - first.at_ns) / 1e9)
    assert 0 < between.durations["invoke"].total_ns < (last.at_ns - first.at_ns) * 2
    assert set(between.sinks) == {"collector"}


def test_no_stage_is_missing_or_busy_while_all_is_well(pipeline):
    wait_for(lambda: pipeline.statistics.rates["detected"].count > 5)
    assert pipeline.missing() == []
    assert max(pipeline.busy_s().values()) < PROMPT_S
