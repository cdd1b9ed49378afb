"""Annotated videos are read back, also after the writer was killed."""

import json
import os
import signal
import subprocess
import sys

import av
import numpy as np
import pytest
from support.requirements import need
from support.stream_info import stream_of

from edge_detect.core import Picture, SinkError, Size
from edge_detect.sinks import open_sink


def decode(path):
    with av.open(str(path)) as container:
        return [
            (frame.time, frame.to_ndarray(format="bgr24")) for frame in container.decode(video=0)
        ]


def flat(color, width=64, height=48):
    return np.full((height, width, 3), color, np.uint8)


def write(path, pictures, result_of, *, fps=25.0, times_ms=None):
    height, width = pictures[0].shape[:2]
    with open_sink(path) as sink:
        sink.open(stream_of(Size(width, height), fps))
        for index, picture in enumerate(pictures):
            time_ms = index * 40 if times_ms is None else times_ms[index]
            result = result_of(picture, sequence=index, media_ns=time_ms * 1_000_000)
            sink.write_picture(Picture(result.frame, picture, result))


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "mov"])
def test_every_picture_is_there_at_its_time(tmp_path, grey_steps, result_of, suffix) -> None:
    path = tmp_path / "new" / f"out.{suffix}"
    write(path, grey_steps, result_of)
    frames = decode(path)
    assert [round(float(image.mean()) / 10) for _, image in frames] == list(range(20))
    assert [time for time, _ in frames] == pytest.approx([n / 25 for n in range(20)], abs=0.0011)


def test_dropped_frames_leave_the_speed_right(tmp_path, grey_steps, result_of) -> None:
    path = tmp_path / "out.mp4"
    times = [1000, 1040, 1500, 1500, 3000]
    write(path, grey_steps[:5], result_of, times_ms=times)
    assert [time for time, _ in decode(path)] == pytest.approx([0, 0.04, 0.5, 0.5, 2], abs=0.001)


def test_colours_survive(tmp_path, result_of) -> None:
    path = tmp_path / "out.mp4"
    for color in ((200, 40, 30), (30, 180, 60), (40, 60, 220)):
        write(path, [flat(color)] * 3, result_of)
        assert np.abs(decode(path)[1][1].astype(int) - color).max() <= 4
    with av.open(str(path)) as container:
        codec = container.streams.video[0].codec_context
        assert (codec.colorspace, codec.color_range) == (6, 1)


@pytest.mark.parametrize("size", [(1, 1), (65, 49), (64, 49), (333, 101)])
def test_odd_sizes_are_made_even_and_nothing_is_lost(tmp_path, result_of, size) -> None:
    path = tmp_path / "out.mp4"
    write(path, [flat((90, 90, 90), *size)] * 3, result_of)
    image = decode(path)[0][1]
    assert image.shape[:2] == (size[1] + size[1] % 2, size[0] + size[0] % 2)
    assert np.abs(image.astype(int) - 90).max() <= 4


def test_a_picture_of_another_size_is_fitted_in(tmp_path, result_of) -> None:
    path = tmp_path / "out.mp4"
    white = [flat(255, *size) for size in ((64, 48), (48, 64), (640, 100), (64, 48))]
    write(path, white, result_of)
    images = [image for _, image in decode(path)]
    assert {image.shape for image in images} == {(48, 64, 3)}
    assert images[1][:, 20:44].min() > 240
    assert images[1][:, :10].max() < 16
    assert images[2][20:28].min() > 240
    assert images[2][:15].max() < 16
    assert images[3].min() > 240


def test_an_unused_or_empty_sink_closes_quietly(tmp_path) -> None:
    open_sink(tmp_path / "never.mp4").close()
    assert not (tmp_path / "never.mp4").exists()
    sink = open_sink(tmp_path / "empty.mp4")
    sink.open(stream_of())
    sink.close()
    sink.close()


def test_a_full_disk_is_an_error_with_a_hint(tmp_path, result_of, capfd) -> None:
    path = tmp_path / "out.mp4"
    path.symlink_to("/dev/full")
    noise = np.random.default_rng(0).integers(0, 256, (48, 64, 3)).astype(np.uint8)
    sink = open_sink(path)

    def run() -> None:
        sink.open(stream_of(Size(64, 48), 5.0))
        for index in range(100):
            result = result_of(noise, media_ns=index * 200_000_000)
            sink.write_picture(Picture(result.frame, noise, result))
        sink.close()

    with pytest.raises(SinkError, match="No space left") as caught:
        run()
    assert "free some space" in caught.value.hint
    assert capfd.readouterr() == ("", "")


WRITER = """
import sys
import numpy as np
from edge_detect.core import Detections, Picture, Result, Timings
from edge_detect.sinks import Encoders, StreamInfo, open_sink
from edge_detect.sources import open_source

video, lines = open_sink(sys.argv[1]), open_sink(sys.argv[2])
with open_source("synthetic://?size=320x240&fps=30") as source:
    stream = StreamInfo(source.size, source.fps, Encoders(), None, lambda _: None)
    video.open(stream)
    lines.open(stream)
    while True:
        frame = source.read()
        truth = source.ground_truth(frame.sequence)
        found = Detections(
            np.array([thing.box for thing in truth], np.float32),
            np.array([thing.score for thing in truth], np.float32),
            np.array([thing.class_id for thing in truth], np.int32),
            ("square", "circle", "triangle"),
        )
        result = Result(frame, found, Timings())
        video.write_picture(Picture(frame, frame.image, result))
        lines.write_result(result)
        if frame.sequence == 120:
            print("120", flush=True)
"""


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_outputs_of_a_killed_process_are_whole(tmp_path, suffix) -> None:
    video, lines = tmp_path / f"out.{suffix}", tmp_path / "out.jsonl"
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(video), str(lines)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "120\n"
    finally:
        os.kill(writer.pid, signal.SIGKILL)
        writer.communicate(timeout=10)
    assert writer.returncode == -signal.SIGKILL
    frames = decode(video)
    assert len(frames) >= 90
    assert frames[-1][0] == pytest.approx((len(frames) - 1) / 30, abs=0.002)
    text = lines.read_text()
    assert text.endswith("\n")
    sequences = [json.loads(line)["sequence"] for line in text.splitlines()]
    assert sequences == list(range(len(sequences)))
    assert len(sequences) > 120
    check_with_ffprobe(video)


def check_with_ffprobe(path) -> None:
    """Ask a player that is not the library that wrote the file."""
    need("ffprobe", "ffmpeg")
    command = ["ffprobe", "-v", "error", "-count_frames", "-select_streams", "v:0"]
    command += ["-show_entries", "stream=nb_read_frames", "-of", "csv=p=0", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert int(done.stdout.strip().strip(",")) >= 90
