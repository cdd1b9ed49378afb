"""What may be changed while a pipeline runs: its sinks, its limits, its switch."""

import time

import pytest
from support.waiting import wait_for

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
        self.fail = False
        self.hang_s = 0.0

    def open(self, stream):
        self.opened += 1

    def write_result(self, result):
        time.sleep(self.hang_s)
        if self.fail:
            raise SinkError("it is away", transient=True)
        self.results.append(result.frame.sequence)

    def write_picture(self, picture):
        self.pictures += 1

    def close(self):
        self.closed += 1


@pytest.fixture
def pipeline():
    with ed.Pipeline(CAMERA, model=MODEL, threads=1) as running:
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
    for _ in range(20):
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
    assert len(pipeline._line.crew._threads) == 5


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
    sink.hang_s = 3.0
    wait_for(lambda: pipeline.busy_s()["collector"] > 1)
    with pytest.raises(StageError, match="collector did not close within 1 s"):
        pipeline.detach(sink)
    assert pipeline.busy_s()["detect"] < 1
    sink.hang_s = 0.0


def test_the_rate_of_detections_is_held_to_its_limit_and_set_free_again(pipeline):
    detected = pipeline.statistics.rates["detected"]
    pipeline.controls.set_max_fps(5)
    before, captured = detected.count, pipeline.statistics.rates["captured"].count
    wait_for(lambda: pipeline.statistics.rates["captured"].count >= captured + 60, 20)
    # Two seconds of 30 fps: ten detections, and one that was under way.
    assert 5 <= detected.count - before <= 13
    pipeline.controls.set_max_fps(None)
    before, captured = detected.count, pipeline.statistics.rates["captured"].count
    wait_for(lambda: pipeline.statistics.rates["captured"].count >= captured + 60, 20)
    assert detected.count - before > 30


@pytest.mark.parametrize("overlay", ["latest", "exact"])
def test_pictures_go_on_while_detection_is_off(overlay):
    with ed.Pipeline(CAMERA, model=MODEL, threads=1, overlay=overlay) as pipeline:
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
    mean_ms = between.durations["invoke"].total_ns / between.durations["invoke"].count / 1e6
    assert 0 < mean_ms < 1000
    assert set(between.sinks) == {"collector"}


def test_no_stage_is_missing_or_busy_while_all_is_well(pipeline):
    wait_for(lambda: pipeline.statistics.rates["detected"].count > 5)
    assert pipeline.missing() == []
    assert max(pipeline.busy_s().values()) < 5
