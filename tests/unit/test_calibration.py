"""The pictures for calibration: checked first, and of a long video not all."""

import av
import cv2
import numpy as np
import pytest

from edge_detect.core import ConfigError
from edge_detect.tools.convert.calibration import check_calibration, read_pictures


@pytest.fixture
def video(tmp_path):
    """A video of grey frames, each a little lighter; AVI states how many there are."""

    def write(frames, name="film.avi"):
        path = tmp_path / name
        with av.open(str(path), "w") as container:
            stream = container.add_stream("mjpeg", 25)
            stream.width, stream.height, stream.pix_fmt = 32, 16, "yuvj420p"
            for number in range(frames):
                pixels = np.full((16, 32, 3), number % 256, np.uint8)
                container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="bgr24")))
            container.mux(stream.encode(None))
        return path

    return write


def shades(pictures):
    return [int(np.median(picture)) for picture in pictures]


def test_of_a_long_video_the_frames_lie_further_apart(video):
    path = video(240)
    found = shades(read_pictures([path], every=2, most=60))
    assert len(found) == 60
    assert found == pytest.approx(list(range(0, 240, 4)), abs=3)


def test_a_short_video_gives_each_so_many_th_frame(video):
    path = video(60)
    assert shades(read_pictures([path])) == pytest.approx([0, 25, 50], abs=3)
    assert len(list(read_pictures([path], every=1))) == 60


def test_of_a_video_of_unknown_length_the_first_frames_count(video):
    path = video(40, "film.mkv")
    with av.open(str(path)) as container:
        assert container.streams.video[0].frames == 0
    assert shades(read_pictures([path], every=2, most=10)) == pytest.approx(
        list(range(0, 20, 2)), abs=3
    )


def test_without_a_limit_all_frames_are_read(video):
    assert len(list(read_pictures([video(240)], every=1, most=None))) == 240


def test_one_picture_of_each_path_is_read_first(tmp_path, video):
    cv2.imwrite(str(tmp_path / "good.png"), np.zeros((4, 4, 3), np.uint8))
    (tmp_path / "empty").mkdir()
    (tmp_path / "bad.png").write_bytes(b"no picture")
    check_calibration([tmp_path / "good.png", video(2)])
    for name, fact in (
        ("empty", "holds no photos"),
        ("bad.png", "is not a picture"),
        ("none.jpg", "does not exist"),
        ("none.mp4", "cannot be decoded"),
    ):
        with pytest.raises(ConfigError, match=fact):
            check_calibration([tmp_path / "good.png", tmp_path / name])


def test_a_folder_that_cannot_be_read_is_one_error(tmp_path):
    name = "x" * 300
    with pytest.raises(ConfigError, match=r"cannot read|does not exist"):
        check_calibration([tmp_path / name])
