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
        ("bad.png", "is not an image"),
        ("none.jpg", "does not exist"),
        ("none.mp4", "cannot be decoded"),
    ):
        with pytest.raises(ConfigError, match=fact):
            check_calibration([tmp_path / "good.png", tmp_path / name])


def test_a_folder_that_cannot_be_read_is_one_error(tmp_path):
    name = "x" * 300
    with pytest.raises(ConfigError, match=r"cannot read|does not exist"):
        check_calibration([tmp_path / name])


def test_photos_of_a_folder_that_cannot_be_read_are_left_out_and_counted(tmp_path, caplog, capfd):
    """OpenCV's own complaints do not reach the user."""
    for name, shade in (("a.png", 10), ("d.png", 20)):
        cv2.imwrite(str(tmp_path / name), np.full((4, 4, 3), shade, np.uint8))
    (tmp_path / "b.png").write_bytes(b"no picture")
    (tmp_path / "c.jpg").write_bytes(b"")
    (tmp_path / "e.png").write_bytes((tmp_path / "d.png").read_bytes()[:-20])
    assert shades(read_pictures([tmp_path])) == [10, 20]
    (warning,) = caplog.messages
    assert warning.startswith(f"3 of 5 photos in {tmp_path} are left out: {tmp_path / 'b.png'} is")
    assert capfd.readouterr() == ("", "")


def test_a_folder_of_which_no_photo_can_be_read_is_refused(tmp_path):
    for name in ("a.png", "b.jpg"):
        (tmp_path / name).write_bytes(b"no picture")
    with pytest.raises(ConfigError, match=r"none of the 2 photos in .*a\.png is not an image"):
        check_calibration([tmp_path])


def test_of_a_photo_that_is_missing_or_damaged_only_the_error_tells(tmp_path, capfd):
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(50))
    for path, fact in ((bad, "is truncated"), (tmp_path / "none.jpg", "does not exist")):
        with pytest.raises(ConfigError, match=fact) as error:
            list(read_pictures([path]))
        assert error.value.hint.startswith("give photos")
    assert capfd.readouterr() == ("", "")
