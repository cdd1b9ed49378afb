"""Video files of all sorts, written and read by the real codecs."""

import subprocess
import sys
import threading
import time
import wave

import av
import numpy as np
import pytest
from support.waiting import HANG_S, promptly, wait_for

from edge_detect.core import ConfigError, SourceError
from edge_detect.sources import open_source


def read_all(source):
    frames = []
    while (frame := source.read()) is not None:
        frames.append(frame)
    return frames


def number_of(frame) -> int:
    """Which of the grey steps a frame shows."""
    return round(float(frame.image.mean()) / 10)


def test_importing_the_registry_loads_no_decoder() -> None:
    code = "import sys, edge_detect.sources; sys.exit('av' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_every_frame_comes_once_in_order_with_its_time(write_video, grey_steps) -> None:
    path = write_video("clip.mp4", grey_steps, fps=25)
    with open_source(str(path)) as source:
        assert source.size == (64, 48)
        assert source.fps == 25
        assert not source.live
        frames = read_all(source)
    assert [number_of(frame) for frame in frames] == list(range(20))
    assert [frame.sequence for frame in frames] == list(range(20))
    assert [frame.media_ns for frame in frames] == [n * 40_000_000 for n in range(20)]
    assert all(frame.image.flags.c_contiguous and frame.image.dtype == np.uint8 for frame in frames)
    assert {frame.source for frame in frames} == {str(path)}


def test_frames_that_are_kept_are_not_overwritten(write_video, grey_steps) -> None:
    path = write_video("clip.mp4", grey_steps)
    with open_source(path) as source:
        kept = [source.read().image[10:20] for _ in range(20)]
    assert [round(float(part.mean()) / 10) for part in kept] == list(range(20))


def test_a_loop_goes_on_in_time_and_sequence(write_video, grey_steps) -> None:
    path = write_video("clip.mp4", grey_steps[:5], fps=25)
    with open_source(f"file://{path}?loop=true") as source:
        frames = [source.read() for _ in range(12)]
    assert [number_of(frame) for frame in frames] == [0, 1, 2, 3, 4] * 2 + [0, 1]
    assert [frame.sequence for frame in frames] == list(range(12))
    assert [frame.media_ns for frame in frames] == [n * 40_000_000 for n in range(12)]


def test_a_variable_rate_is_kept(write_video, grey_steps) -> None:
    times = [0, 10, 500, 520, 1400]
    path = write_video("clip.mkv", grey_steps[:5], times_ms=times)
    with open_source(path) as source:
        assert [frame.media_ns // 1_000_000 for frame in read_all(source)] == times


def test_a_time_line_that_starts_late_starts_at_zero(write_video, grey_steps) -> None:
    path = write_video("clip.mkv", grey_steps[:3], times_ms=[5000, 5040, 5080])
    with open_source(path) as source:
        assert [frame.media_ns // 1_000_000 for frame in read_all(source)] == [0, 40, 80]


def test_a_file_without_timestamps_and_with_two_sizes_is_read(write_video, grey_steps) -> None:
    small = write_video("small.h264", grey_steps[:4])
    large = write_video("large.h264", [np.full((96, 128, 3), 200, np.uint8)] * 4)
    both = small.with_name("both.h264")
    both.write_bytes(small.read_bytes() + large.read_bytes())
    with open_source(both) as source:
        frames = read_all(source)
    assert [frame.size for frame in frames] == [(64, 48)] * 4 + [(128, 96)] * 4
    steps = np.diff([frame.media_ns for frame in frames])
    assert (steps > 0).all()


def test_paced_frames_are_never_early_and_keep_their_pace(write_video, grey_steps) -> None:
    path = write_video("clip.mp4", grey_steps[:10], fps=50)
    with open_source(path, paced=True) as source:
        assert source.live
        frames = read_all(source)
    first = frames[0]
    late = [
        (frame.captured_ns - first.captured_ns) - (frame.media_ns - first.media_ns)
        for frame in frames
    ]
    assert min(late) > -1_000_000
    # A busy machine may hold some of them up, but not all.
    assert min(abs(late[index + 4] - late[index]) for index in range(6)) < 40_000_000


def test_after_a_pause_of_the_reader_there_is_no_burst(write_video, grey_steps) -> None:
    path = write_video("clip.mp4", grey_steps, fps=20)
    with open_source(f"file://{path}?realtime=true") as source:
        source.read()
        # The reader itself is slow here; this is the condition under test, not a wait.
        time.sleep(0.4)
        after = [source.read().captured_ns for _ in range(5)]
        # The first is late and moves the time line; the others are due one by one after it.
        assert after[-1] - after[0] > 0.15e9


def test_close_ends_a_waiting_read_at_once(write_video, grey_steps) -> None:
    hang_ms = round(HANG_S * 1000)
    path = write_video("clip.mkv", grey_steps[:3], times_ms=[0, hang_ms, 2 * hang_ms])
    source = open_source(path, paced=True)
    source.read()
    results = []
    reader = threading.Thread(target=lambda: results.append(source.read()))
    reader.start()
    wait_for(lambda: source.resting)
    with promptly():
        source.close()
        reader.join(HANG_S)
    assert results == [None]
    source.close()
    assert source.read() is None


def test_close_is_safe_while_another_thread_decodes(write_video) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (5, 240, 320, 3)).astype(np.uint8)
    path = write_video("clip.mp4", list(noise))
    for _ in range(10):
        source = open_source(f"file://{path}?loop=true")
        reader = threading.Thread(target=read_all, args=(source,))
        reader.start()
        source.close()
        with promptly():
            reader.join(HANG_S)


@pytest.mark.parametrize(("matrix", "tag"), [("601", 6), ("709", 1)])
@pytest.mark.parametrize("full_range", [False, True])
def test_colours_follow_the_matrix_and_range_of_the_file(tmp_path, matrix, tag, full_range) -> None:
    # ITU-R BT.601 and BT.709: weights of red and blue in luma.
    weight_red, weight_blue = {"601": (0.299, 0.114), "709": (0.2126, 0.0722)}[matrix]
    for color in ((200, 40, 30), (30, 180, 60), (40, 60, 220), (128, 128, 128), (250, 250, 250)):
        blue, green, red = (value / 255 for value in color)
        luma = weight_red * red + (1 - weight_red - weight_blue) * green + weight_blue * blue
        chroma_blue, chroma_red = (
            (blue - luma) / (2 - 2 * weight_blue),
            (red - luma) / (2 - 2 * weight_red),
        )
        scale, offset, chroma = (255, 0, 255) if full_range else (219, 16, 224)
        yuv = np.empty((72, 64), np.uint8)
        yuv[:48] = round(offset + scale * luma)
        yuv[48:60] = round(128 + chroma * chroma_blue)
        yuv[60:] = round(128 + chroma * chroma_red)
        path = tmp_path / "patch.mkv"
        with av.open(str(path), "w") as container:
            stream = container.add_stream("libx264", rate=25, options={"qp": "0"})
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
            stream.codec_context.colorspace = tag
            stream.codec_context.color_range = 2 if full_range else 1
            picture = av.VideoFrame.from_ndarray(yuv, format="yuv420p")
            container.mux(stream.encode(picture))
            container.mux(stream.encode(None))
        with open_source(path) as source:
            image = source.read().image
        assert np.abs(image[24, 32].astype(int) - color).max() <= 3, color


@pytest.mark.parametrize("turn", [90, 180, 270])
def test_the_rotation_of_a_phone_video_is_honoured(write_video, turn) -> None:
    picture = np.zeros((48, 64, 3), np.uint8)
    picture[:24, :32] = 255
    path = write_video("clip.mp4", [picture] * 3)
    # The matrix in the track header (ISO 14496-12, 8.3.2) turns clockwise by `turn`.
    cos, sin = {90: (0, 1), 180: (-1, 0), 270: (0, -1)}[turn]
    matrix = [cos, sin, 0, -sin, cos, 0, 0, 0, 0x4000]
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 4 + 4 + 20 + 8 + 8
    packed = b"".join((value * 0x10000 & 0xFFFFFFFF).to_bytes(4, "big") for value in matrix)
    data[at : at + 36] = packed
    path.write_bytes(data)
    with open_source(path) as source:
        image = source.read().image
        assert source.size == ((64, 48) if turn == 180 else (48, 64))
    height, width = image.shape[:2]
    row, column = {90: (0, 1), 180: (1, 1), 270: (1, 0)}[turn]
    corner = image[row * height // 2 :, column * width // 2 :][4 : height // 2 - 4]
    assert corner[:, 4 : width // 2 - 4].min() > 200
    assert image.mean() == pytest.approx(255 / 4, abs=12)


def test_a_truncated_video_gives_what_it_has_and_ends(write_video, capfd) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (40, 48, 64, 3)).astype(np.uint8)
    path = write_video("clip.mkv", list(noise))
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with open_source(path) as source:
        frames = read_all(source)
    assert 10 <= len(frames) < 40
    assert capfd.readouterr() == ("", "")


def test_a_video_without_its_index_is_an_error(write_video, grey_steps, capfd) -> None:
    path = write_video("clip.mp4", grey_steps)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(SourceError, match=r"clip\.mp4"):
        open_source(path)
    assert capfd.readouterr() == ("", "")


def test_what_is_no_video_is_a_clear_error(tmp_path, capfd) -> None:
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("this is no video\n" * 100)
    with wave.open(str(tmp_path / "sound.wav"), "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(8000)
        sound.writeframes(bytes(16000))
    facts = {
        "empty.mp4": "is empty",
        "text.mp4": "is not a video",
        "sound.wav": "holds no video",
        "missing.mp4": "No such file",
    }
    for name, fact in facts.items():
        with pytest.raises(SourceError, match=fact) as caught:
            open_source(tmp_path / name)
        assert str(tmp_path / name) in caught.value.message
        assert "\n" not in caught.value.message
        assert caught.value.hint
    assert capfd.readouterr() == ("", "")


def test_a_misspelt_option_is_an_error(write_video, grey_steps) -> None:
    path = write_video("clip.mp4", grey_steps[:2])
    with pytest.raises(ConfigError, match="lop"):
        open_source(f"file://{path}?lop=true")
