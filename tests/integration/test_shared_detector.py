"""Several cameras, one interpreter."""

import time
from contextlib import ExitStack

import pytest
from support.waiting import wait_for

import edge_detect as ed

MODEL = "ssdlite-mobilenet-v2-pedestrian"
SLOW, FAST = 8, 80


@pytest.fixture
def detector(monkeypatch):
    """A detector on hardware that takes a fiftieth of a second, without the processor."""
    with ed.load_model(MODEL, threads=1) as loaded:
        invoke = loaded.lanes.engine.session.invoke

        def invoke_slowly():
            time.sleep(0.02)
            invoke()

        monkeypatch.setattr(loaded.lanes.engine.session, "invoke", invoke_slowly)
        yield loaded


def test_no_camera_starves_beside_one_that_is_ten_times_faster(detector):
    """The detector manages less than the fast camera alone would take."""
    sources = [f"synthetic://?size=320x180&fps={fps}" for fps in (SLOW, SLOW, SLOW, FAST)]
    with ExitStack() as stack:
        pipelines = [
            stack.enter_context(ed.Pipeline(f"{url}&realtime=true", model=detector))
            for url in sources
        ]
        for pipeline in pipelines:
            pipeline.start()
        rates = [pipeline.statistics.rates for pipeline in pipelines]
        wait_for(lambda: all(each["captured"].count >= 5 * SLOW for each in rates), 40)
        shares = [each["detected"].count / each["captured"].count for each in rates]
        reports = [pipeline.report() for pipeline in pipelines]
    assert all(share > 0.75 for share in shares[:3]), shares
    # What the others leave over goes to the fast one, which drops the rest.
    assert 0 < shares[3] < 0.75, shares
    # Each camera gets its newest frame when its turn comes: at worst three others are before it.
    for report in reports:
        assert report.durations_ms["capture_to_detect"].p50 < 8 * report.durations_ms["invoke"].p50


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
