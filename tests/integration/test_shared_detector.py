"""Several cameras, one interpreter."""

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import numpy as np
import pytest
from support.echo_models import write_model
from support.waiting import HANG_S, wait_for

import edge_detect as ed
from edge_detect.sinks import Sink

MODEL = "ssdlite-mobilenet-v2-pedestrian"
SLOW, FAST = 8, 80
FRAMES = 60
BATCH = f"synthetic://?size=64x48&fps=200&frames={FRAMES}"


class Results(Sink):
    """Keeps when each frame was captured, and when it was detected."""

    name = "results"
    takes_results = True

    def __init__(self):
        self.times = []

    def open(self, stream):
        """Nothing is needed."""

    def write_result(self, result):
        self.times.append((result.frame.captured_ns, result.timings.detected_ns))

    def close(self):
        """Nothing is held."""


@pytest.fixture
def detector(monkeypatch):
    """A detector on hardware that takes a twentieth of a second, without the processor."""
    with ed.load_model(MODEL, threads=1) as loaded:
        invoke = loaded.lanes.engine.session.invoke

        def invoke_slowly():
            time.sleep(0.05)
            invoke()

        monkeypatch.setattr(loaded.lanes.engine.session, "invoke", invoke_slowly)
        yield loaded


def test_no_camera_starves_beside_one_that_is_ten_times_faster(detector):
    """The detector manages less than the three slow ones would take: each gets the same."""
    sources = [f"synthetic://?size=320x180&fps={fps}" for fps in (SLOW, SLOW, SLOW, FAST)]
    with ExitStack() as stack:
        pipelines = [
            stack.enter_context(ed.Pipeline(f"{url}&realtime=true", model=detector))
            for url in sources
        ]
        sinks = [Results() for _ in pipelines]
        for pipeline, sink in zip(pipelines, sinks, strict=True):
            pipeline.start()
            pipeline.attach(sink)
        wait_for(lambda: all(sink.times for sink in sinks))
        before = [pipeline.statistics.rates["detected"].count for pipeline in pipelines]
        wait_for(lambda: len(sinks[-1].times) > 8)
        after = [pipeline.statistics.rates["detected"].count for pipeline in pipelines]
        dropped = pipelines[-1].report().dropped
    found = np.subtract(after, before)
    # A slow camera may have no new frame yet when its turn comes.
    assert found[:3].min() >= found[3] // 2, found
    assert sum(dropped.values()) > 0
    # Each camera gets its newest frame when its turn comes.
    for sink in sinks:
        for (_, detected_ns), (captured_ns, _) in zip(sink.times, sink.times[5:], strict=False):
            assert captured_ns > detected_ns


def test_each_camera_has_thresholds_and_classes_of_its_own():
    with ed.load_model(MODEL) as detector, ExitStack() as stack:
        source = "synthetic://?size=320x180&fps=20&realtime=true"
        everything, nothing = (
            stack.enter_context(ed.Pipeline(source, model=detector, score_threshold=score))
            for score in (0.0, 1.0)
        )
        for pipeline in (everything, nothing):
            pipeline.start()
        for pipeline in (everything, nothing):
            rate = pipeline.statistics.rates["detected"]
            wait_for(lambda rate=rate: rate.count >= 5, 20)
        assert everything.statistics.detections > 0
        assert nothing.statistics.detections == 0
        assert nothing.report().model.score_threshold == 1.0


def test_a_camera_that_is_stopped_leaves_the_detector_to_the_others():
    with ed.load_model(MODEL) as detector:
        source = "synthetic://?size=320x180&fps=20&realtime=true"
        with ed.Pipeline(source, model=detector) as first:
            first.start()
            with ed.Pipeline(source, model=detector) as second:
                second.start()
                wait_for(lambda: second.statistics.rates["detected"].count >= 2, 20)
            before = first.statistics.rates["detected"].count
            wait_for(lambda: first.statistics.rates["detected"].count >= before + 3, 20)


@pytest.fixture
def echo(tmp_path):
    with ed.load_model(write_model(tmp_path), threads=1) as loaded:
        yield loaded


# In the next two, what hangs goes on when the pipelines are left, before the thread is waited for.


def test_a_reader_of_results_may_call_the_detector_although_all_boxes_before_are_full(echo):
    picture = np.random.default_rng(1).integers(0, 256, (40, 30, 3), np.uint8)
    wanted = echo(picture).scores.tolist()
    with (
        ThreadPoolExecutor(1) as pool,
        ed.Pipeline(BATCH, model=echo, mode="every") as pipeline,
    ):
        results = iter(pipeline)
        next(results)
        boxes = [pipeline._line._boxes[name] for name in ("detect", "decode")]
        wait_for(lambda: all(len(box) == box.capacity for box in boxes))
        assert pool.submit(echo, picture).result(HANG_S).scores.tolist() == wanted
        assert len(list(results)) == FRAMES - 1


def test_two_pipelines_of_one_detector_can_be_read_in_turn(echo):
    with (
        ThreadPoolExecutor(1) as pool,
        ed.Pipeline(BATCH, model=echo, mode="every") as one,
        ed.Pipeline(BATCH, model=echo, mode="every") as other,
    ):
        pairs = pool.submit(lambda: list(zip(one, other, strict=True))).result(HANG_S)
    assert len(pairs) == FRAMES
    assert all(mine.frame.sequence == yours.frame.sequence for mine, yours in pairs)


def test_a_camera_that_ends_is_done_although_others_go_on(echo):
    """Its thread may be the one that infers for all of them."""
    endless = BATCH.replace(f"&frames={FRAMES}", "")
    with (
        ThreadPoolExecutor(1) as pool,
        ed.Pipeline(endless, model=echo, mode="every") as other,
        ed.Pipeline(BATCH, model=echo, mode="every") as one,
    ):
        other.start()
        detected = other.statistics.rates["detected"]
        assert len(pool.submit(list, one).result(HANG_S)) == FRAMES
        wait_for(lambda: not one.running)
        before = detected.count
        wait_for(lambda: detected.count >= before + FRAMES)
