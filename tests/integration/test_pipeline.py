"""The whole chain on real video with a real model, and what it does when something breaks."""

import fcntl
import json
import os
from itertools import islice
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from support.numbered_model import write_numbered
from support.open_size import varying_model, write_open_model
from support.waiting import promptly, wait_for

import edge_detect as ed
from edge_detect.core import ModelError, SinkError, SourceError, StageError, bundled_path

CLIP = bundled_path("demo") / "street.mp4"
FAST_MODEL = "ssdlite-mobilenet-v2-pedestrian"


@pytest.fixture(scope="module")
def detector():
    with ed.load_model(FAST_MODEL, threads=1) as loaded:
        yield loaded


def lines_of(path):
    return [json.loads(line) for line in Path(path).read_text().splitlines()]


@pytest.fixture(scope="module")
def short_clip(tmp_path_factory):
    """The first 40 pictures of the clip."""
    path = tmp_path_factory.mktemp("clip") / "street.mp4"
    with av.open(str(CLIP)) as whole, av.open(str(path), "w") as part:
        stream = part.add_stream_from_template(whole.streams.video[0])
        for packet in islice(whole.demux(video=0), 40):
            packet.stream = stream
            part.mux(packet)
    return path


def test_every_frame_of_a_file_is_detected_in_order(detector, short_clip, tmp_path, our_threads):
    lines = tmp_path / "found.jsonl"
    with ed.Pipeline(short_clip, model=detector, sinks=[lines], mode="every") as pipeline:
        sequences = [result.frame.sequence for result in pipeline]
    with ed.open_source(short_clip, paced=False) as source:
        frames = 0
        while source.read() is not None:
            frames += 1
    assert frames == 40
    assert sequences == list(range(frames))
    assert [line["sequence"] for line in lines_of(lines)] == sequences
    assert pipeline.statistics.dropped == {}
    assert our_threads() == []


def test_pipeline_finds_what_the_detector_finds_alone(detector):
    with ed.Pipeline(CLIP, model=detector, mode="every") as pipeline:
        for result in pipeline:
            alone = detector(result.frame.image)
            assert np.array_equal(result.detections.boxes, alone.boxes)
            assert np.array_equal(result.detections.scores, alone.scores)
            if result.frame.sequence == 20:
                break
    assert len(alone) > 0


def test_live_mode_keeps_the_sources_pace_and_counts_what_it_drops():
    slow = "yolov3-tiny-coco"
    source = "synthetic://?size=640x480&fps=300&frames=300&realtime=true"
    with ed.Pipeline(source, model=slow, threads=1, mode="live") as pipeline:
        results = list(pipeline)
        statistics = pipeline.statistics
    sequences = [result.frame.sequence for result in results]
    assert statistics.rates["captured"].count == 300
    assert sequences == sorted(set(sequences))
    assert statistics.elapsed_s > 0.9
    assert sum(statistics.dropped.values()) >= 300 - len(sequences) > 0
    # Nothing piles up: one frame is being prepared, one waits and one is in the detector, so a
    # frame is younger than the result that came five before its own.
    assert len(results) > 5
    for earlier, later in zip(results, results[5:], strict=False):
        assert later.frame.captured_ns > earlier.timings.detected_ns


def test_stop_is_clean_within_a_second_from_the_middle_of_work(detector, tmp_path, our_threads):
    video = tmp_path / "out.mp4"
    pipeline = ed.Pipeline(
        f"file://{CLIP}?loop=true", model=detector, sinks=[video, "null://"], mode="live"
    )
    with pipeline:
        pipeline.start()
        wait_for(lambda: pipeline.statistics.rates["rendered"].count > 3)
        assert pipeline.running
        # It is the pipeline that complains of stages that take longer than a second.
        with promptly():
            pipeline.stop()
    assert our_threads() == []
    assert video.stat().st_size > 0


def test_stop_before_the_start_closes_everything(detector, tmp_path, our_threads):
    with ed.Pipeline(CLIP, model=detector, sinks=[tmp_path / "a.mp4"]):
        pass
    assert our_threads() == []


def test_leaving_the_iteration_early_stops_the_pipeline(detector):
    with ed.Pipeline(CLIP, model=detector, mode="every") as pipeline:
        for result in pipeline:
            if result.frame.sequence == 3:
                break
    assert not pipeline.running


def test_wrong_path_is_an_error_before_any_thread_runs(detector, our_threads):
    with pytest.raises(SourceError, match="nowhere"), ed.Pipeline("nowhere.mp4", model=detector):
        pass
    assert our_threads() == []


def test_sink_that_cannot_be_opened_is_an_error_before_any_thread_runs(detector, our_threads):
    with pytest.raises(SinkError), ed.Pipeline(CLIP, model=detector, sinks=["/proc/no/x.mp4"]):
        pass
    assert our_threads() == []


def test_full_disk_ends_the_pipeline_with_the_sinks_error(detector, our_threads):
    with (
        pytest.raises(SinkError) as info,
        ed.Pipeline(CLIP, model=detector, sinks=["jsonl:///dev/full"], mode="every") as pipeline,
    ):
        pipeline.start()
        pipeline.wait(60)
    assert info.value.stage
    assert info.value.exit_code == 74
    assert our_threads() == []


def test_error_in_a_stage_reaches_whoever_iterates(detector):
    with (
        pytest.raises(SinkError),
        ed.Pipeline(CLIP, model=detector, sinks=["jsonl:///dev/full"], mode="every") as pipeline,
    ):
        for _ in pipeline:
            pass


def test_unforeseen_exception_names_the_stage_and_keeps_its_cause(detector, our_threads):
    with ed.load_model(FAST_MODEL, threads=1) as broken:
        pipeline = ed.Pipeline(CLIP, model=broken, mode="every")
        with pytest.raises(StageError) as info, pipeline:
            for number, _ in enumerate(pipeline):
                if number == 3:
                    broken.close()  # a caller's mistake: the detector is pulled from under it
    assert info.value.stage == "detect"
    assert info.value.exit_code == 70
    assert our_threads() == []


def test_impossible_outputs_name_the_stage_that_decodes(tmp_path, our_threads):
    model = write_numbered(tmp_path)
    with (
        pytest.raises(ModelError, match="class id 7, but the manifest has 1") as info,
        ed.Pipeline(CLIP, model=model, mode="every") as pipeline,
    ):
        list(pipeline)
    assert info.value.stage == "decode"
    assert our_threads() == []


def test_a_frame_that_cannot_be_inferred_ends_a_pipeline_that_waits_for_its_reader(
    tmp_path, our_threads
):
    model = write_open_model(tmp_path, (8, 8), content=varying_model())
    pictures = tmp_path / "street"
    pictures.mkdir()
    # One result is read, four wait for the reader, one is held by the stage that decodes, and one
    # waits for that: the next one fails.
    for number in range(12):
        picture = np.full((8, 8, 3), 255 if number == 7 else number, np.uint8)
        assert cv2.imwrite(str(pictures / f"{number:02}.png"), picture)
    with ed.load_model(model, threads=1) as detector:
        with (
            pytest.raises(ModelError, match="'places' changes its shape") as info,
            ed.Pipeline(pictures, model=detector, mode="every") as pipeline,
        ):
            next(iter(pipeline))
            wait_for(lambda: not pipeline.running)
        assert info.value.stage == "detect"
        assert our_threads() == []
        with promptly():
            detector(np.zeros((8, 8, 3), np.uint8))
            detector.close()


def test_on_one_core_frames_are_decoded_where_they_are_inferred(detector, short_clip):
    cores = os.sched_getaffinity(0)
    stages = set()
    found = []
    for usable in (cores, {min(cores)}):
        os.sched_setaffinity(0, usable)
        try:
            with ed.Pipeline(short_clip, model=detector, mode="every") as pipeline:
                found.append([result.detections.boxes.tolist() for result in pipeline])
                stages = set(pipeline.busy_s())
        finally:
            os.sched_setaffinity(0, cores)
    assert "decode" not in stages
    assert found[0] == found[1]
    assert len(found[0]) == 40


def test_stuck_reader_of_an_output_does_not_block_the_stop(detector, tmp_path):
    """A named pipe that nobody empties holds the writer inside the kernel."""
    pipe = tmp_path / "pipe.jsonl"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    fcntl.fcntl(reader, fcntl.F_SETPIPE_SZ, 4096)
    pipeline = ed.Pipeline(f"file://{CLIP}?loop=true", model=detector, sinks=[pipe], mode="every")
    with pytest.raises(StageError, match="did not stop") as info, pipeline:
        pipeline.start()
        wait_for(lambda: pipeline.busy_s()[pipeline.sinks[0].name] > 0.3)
        with promptly():
            pipeline.stop()
    assert "jsonl" in str(info.value) or "pipe" in str(info.value)
    os.close(reader)


def test_every_frame_from_preparing_to_decoding_has_a_buffer(detector, monkeypatch):
    """One is filled, one waits, one is inferred, two wait for their decoding, one is decoded."""
    made, kind = [], type(detector)
    original = kind.new_buffer
    monkeypatch.setattr(kind, "new_buffer", lambda self: made.append(self) or original(self))
    with ed.Pipeline(f"file://{CLIP}?loop=true", model=detector, mode="live") as pipeline:
        assert len(next(iter(pipeline)).frame.image)
    assert len(made) == (6 if len(os.sched_getaffinity(0)) > 1 else 3)


def test_results_stay_valid_when_kept(detector):
    kept = []
    with ed.Pipeline(CLIP, model=detector, mode="every") as pipeline:
        for result in pipeline:
            kept.append((result, result.frame.image.copy()))
            if len(kept) == 30:
                break
    for result, copy in kept:
        assert np.array_equal(result.frame.image, copy)


def test_picture_of_the_frame_is_not_drawn_upon(detector, tmp_path):
    with ed.open_source(CLIP, paced=False) as source:
        first = source.read().image.copy()
    with ed.Pipeline(CLIP, model=detector, sinks=[tmp_path / "a.mp4"], mode="every") as pipeline:
        result = next(iter(pipeline))
        wait_for(lambda: pipeline.statistics.rates["rendered"].count > 0)
        assert np.array_equal(result.frame.image, first)


def test_second_iteration_after_start_is_refused(detector):
    with ed.Pipeline(CLIP, model=detector, mode="live") as pipeline:
        pipeline.start()
        with pytest.raises(ValueError, match="before start"):
            next(iter(pipeline))


def test_options_for_a_ready_detector_are_a_mistake(detector):
    with pytest.raises(ValueError, match="load_model"):
        ed.Pipeline(CLIP, model=detector, threads=2)


def test_no_drawing_is_done_without_a_sink_that_shows_it(detector):
    with ed.Pipeline(CLIP, model=detector, sinks=["null://"], mode="every") as pipeline:
        for result in pipeline:
            if result.frame.sequence == 20:
                break
    assert pipeline.statistics.rates["rendered"].count == 0
    assert pipeline.statistics.durations["overlay"].percentiles().n == 0
