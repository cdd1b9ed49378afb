"""Recordings are read back with FFmpeg, which did not write them."""

import pytest
from recordings import Camera, check_plays, numbers, probe, stream_info

from edge_detect.sinks import open_sink


def segments(root):
    return sorted(root.glob("*/*.mp4"))


def test_pieces_hold_every_picture_once_and_play_at_the_right_speed(tmp_path) -> None:
    encoded = []
    camera = Camera()
    with open_sink(f"mp4://{tmp_path}/new?segment=5s") as sink:
        sink.open(stream_info(encoded=encoded))
        camera.feed(sink, 400)
    paths = segments(tmp_path / "new")
    assert [len(numbers(path)) for path in paths] == [150, 150, 100]
    assert [number for path in paths for number in numbers(path)] == list(range(400))
    assert len(encoded) == 400
    for path, frames in zip(paths, (150, 150, 100), strict=True):
        check_plays(path)
        stream = probe(path)
        assert int(stream["nb_read_frames"]) == int(stream["nb_frames"]) == frames
        assert float(stream["duration"]) == pytest.approx(frames / 30, abs=0.001)
        assert stream["avg_frame_rate"] == "30/1"
        assert stream["codec_tag_string"] == "avc1"
