"""What viewers of a live pipeline see: fresh pictures, boxes of known age, whatever fails."""

import json
import subprocess
import threading
import time

import av
import cv2
import numpy as np
import pytest
from support.ports import free_port
from support.recordings import complaints
from support.waiting import HANG_S, wait_for

import edge_detect as ed
from edge_detect.core import SinkError, Size, bundled_path, monotonic_ns
from edge_detect.sinks import Sink
from edge_detect.sinks.encoder import Encoder

FAST_MODEL = "ssdlite-mobilenet-v2-pedestrian"
CAMERA = "synthetic://?size=640x360&fps=60&realtime=true"


@pytest.fixture
def detector():
    with ed.load_model(FAST_MODEL, threads=1) as loaded:
        yield loaded


@pytest.fixture
def slow_detector(detector, monkeypatch):
    """A detector on hardware that takes a tenth of a second, without the processor."""
    session = detector.lanes.engine.session
    invoke = session.invoke

    def invoke_slowly():
        time.sleep(0.1)
        invoke()

    monkeypatch.setattr(session, "invoke", invoke_slowly)
    return detector


class Held:
    """Holds a detector before it decodes a frame, as a device that hangs does."""

    def __init__(self, detector, monkeypatch):
        self._free, self._inside = threading.Event(), threading.Event()
        self._free.set()
        # In one thread, or in two.
        for name in ("run", "collect"):
            monkeypatch.setattr(detector, name, self._when_free(getattr(detector, name)))

    def hold(self):
        """Return once it is held."""
        self._free.clear()
        assert self._inside.wait(30)

    def let_go(self):
        self._free.set()

    def _when_free(self, work):
        def wait(*arguments):
            if not self._free.is_set():
                self._inside.set()
                assert self._free.wait(HANG_S)
            return work(*arguments)

        return wait


@pytest.fixture
def held(detector, monkeypatch):
    return Held(detector, monkeypatch)


def test_the_picture_keeps_the_cameras_rate_whatever_the_detectors(detector, held):
    with ed.Pipeline(CAMERA, model=detector, sinks=["null://?picture=true"]) as pipeline:
        assert pipeline.overlay == "latest"
        pipeline.start()
        rates, boxes_age = pipeline.statistics.rates, pipeline.statistics.durations["boxes_age"]
        wait_for(lambda: rates["detected"].count >= 3)
        held.hold()
        detected, rendered = rates["detected"].count, rates["rendered"].count
        before = boxes_age.copy()
        wait_for(lambda: rates["rendered"].count >= rendered + 40)
        while_held = boxes_age.since(before).percentiles()
        assert rates["detected"].count == detected
        held.let_go()
        wait_for(lambda: rates["detected"].count > detected + 3)
    # 40 pictures at 60 fps, all with the boxes of the last frame that was detected.
    assert while_held.n >= 40
    assert while_held.p95 > 500


def test_the_next_frames_are_inferred_while_one_is_decoded(detector, held):
    with ed.Pipeline(CAMERA, model=detector) as pipeline:
        pipeline.start()
        rates, box = pipeline.statistics.rates, pipeline._line._boxes["decode"]
        wait_for(lambda: rates["detected"].count >= 3)
        held.hold()
        wait_for(lambda: len(box) == box.capacity)
        assert pipeline.busy_s()["decode"] > 0
        detected = rates["detected"].count
        held.let_go()
        wait_for(lambda: rates["detected"].count > detected + 3)


def test_exact_overlay_shows_detected_frames_alone(slow_detector):
    sinks = ["null://?picture=true"]
    with ed.Pipeline(CAMERA, model=slow_detector, sinks=sinks, overlay="exact") as pipeline:
        pipeline.start()
        rates = pipeline.statistics.rates
        wait_for(lambda: rates["detected"].count >= 8, 20)
        assert rates["rendered"].count <= rates["detected"].count
        wait_for(lambda: rates["rendered"].count >= 7)
        assert pipeline.report().durations_ms["boxes_age"].p99 == 0


class Ages(Sink):
    """Keeps when each frame was captured, and when its result or picture came here."""

    name = "ages"

    def __init__(self, *, pictures):
        self.takes_results, self.takes_pictures = not pictures, pictures
        self.times = []

    def open(self, stream):
        """Nothing is needed."""

    def write_result(self, result):
        self.times.append((result.frame.captured_ns, monotonic_ns()))

    def write_picture(self, picture):
        self.times.append((picture.frame.captured_ns, monotonic_ns()))

    def close(self):
        """Nothing is held."""


@pytest.mark.endurance
def test_what_is_shown_stays_fresh_with_a_source_ten_times_too_fast(slow_detector):
    """Half a minute of 100 frames a second into a detector that manages less than ten."""
    source = "synthetic://?size=320x180&fps=100&realtime=true"
    sinks = [Ages(pictures=False), Ages(pictures=True)]
    with ed.Pipeline(source, model=slow_detector, sinks=sinks) as pipeline:
        pipeline.start()
        wait_for(lambda: pipeline.statistics.rates["captured"].count >= 3000, 100)
    for sink in sinks:
        assert len(sink.times) > 100
        # Between stages is one frame each: whatever comes was captured after what came some
        # places before it was here, also at the end.
        for (_, came_ns), (captured_ns, _) in zip(sink.times, sink.times[8:], strict=False):
            assert captured_ns > came_ns


def test_a_sink_that_fails_leaves_the_others_alone(detector, tmp_path):
    lines = tmp_path / "found.jsonl"
    full = tmp_path / "full.mp4"
    full.symlink_to("/dev/full")
    sinks = [full, "jsonl:///dev/full", lines]
    with ed.Pipeline(CAMERA, model=detector, sinks=sinks) as pipeline:
        pipeline.start()
        wait_for(lambda: [each.state for each in pipeline.report().sinks][:2] == ["failed"] * 2)
        written = lines.stat().st_size
        wait_for(lambda: lines.stat().st_size > written + 1000)
        failed = pipeline.report().sinks
    assert "No space left" in failed[0].reason
    assert failed[2].state == "open"
    for line in lines.read_text().splitlines():
        json.loads(line)


def test_the_last_sink_that_fails_ends_the_pipeline_with_its_error(detector):
    with (
        pytest.raises(SinkError, match="No space left"),
        ed.Pipeline(CAMERA, model=detector, sinks=["jsonl:///dev/full"]) as pipeline,
    ):
        pipeline.start()
        pipeline.wait(60)


def test_stream_and_recording_share_one_encode(detector, tmp_path, monkeypatch):
    encode, encoded = Encoder._encode, []

    def count(self, picture):
        encoded.append(picture.frame.sequence)
        return encode(self, picture)

    monkeypatch.setattr(Encoder, "_encode", count)
    url = f"rtsp://127.0.0.1:{free_port()}/live"
    sinks = [url, f"mp4://{tmp_path}?segment=2s&reserve=0MB"]
    with ed.Pipeline(CAMERA, model=detector, sinks=sinks) as pipeline:
        pipeline.start()
        # A viewer that has to wait for the first picture is sent away after some seconds.
        wait_for(lambda: pipeline.outlets[1].encoded.count)
        with av.open(url, options={"rtsp_transport": "tcp"}, timeout=(30, 30)) as video:
            for number, _ in enumerate(video.decode(video=0)):
                if number == 30:
                    break
        streamed, recorded = pipeline.report().sinks
    assert len(encoded) == len(set(encoded))
    assert streamed.encoded_fps > 0
    assert recorded.encoded_fps > 0
    assert list(tmp_path.rglob("*.mp4"))


def test_a_viewer_that_joins_an_encoder_at_work_sees_no_damaged_picture(detector, tmp_path):
    """The recorder had it running, so that it is somewhere between two key frames."""
    url = f"rtsp://127.0.0.1:{free_port()}/live?keyframe=10"
    sinks = [url, f"mp4://{tmp_path}?keyframe=10&reserve=0MB"]
    watch = ["ffmpeg", "-v", "error", "-rtsp_transport", "tcp", "-i", url.partition("?")[0]]
    with ed.Pipeline(CAMERA, model=detector, sinks=sinks) as pipeline:
        pipeline.start()
        wait_for(lambda: pipeline.outlets[1].encoded.count > 40, 20)
        for number in range(2):
            picture = str(tmp_path / f"{number}.png")
            done = subprocess.run(
                [*watch, "-frames:v", "1", picture],
                check=True,
                capture_output=True,
                text=True,
                timeout=60,
            )
            assert complaints(done.stderr) == []


def test_boxes_found_in_the_small_image_lie_right_on_the_large_one(detector):
    clip = ed.open_source(bundled_path("demo") / "street.mp4", paced=False)
    with clip:
        for _ in range(60):
            frame = clip.read()
    small = cv2.resize(frame.image, (320, 240), interpolation=cv2.INTER_AREA)
    buffer = detector.new_buffer()
    detector.prepare(frame.image, buffer)
    found_large, _ = detector.run(buffer)
    detector.prepare(small, buffer, Size(*frame.image.shape[1::-1]))
    found_small, _ = detector.run(buffer)
    strong = found_large[found_large.scores > 0.7]
    assert len(strong) > 0
    for box in strong.boxes:
        distance = np.abs(found_small.boxes - box).max(axis=1).min()
        assert distance < 0.1 * (box[3] - box[1])
