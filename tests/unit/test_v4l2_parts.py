"""The small parts of the V4L2 source: layouts, numbering, pictures, options."""

import ctypes
import select
import threading

import cv2
import numpy as np
import pytest

from edge_detect.core import ConfigError, Size, SourceError
from edge_detect.core.buffers import ImagePool
from edge_detect.core.url import parse_url
from edge_detect.sources import open_source
from edge_detect.sources.v4l2 import structs as v4l2
from edge_detect.sources.v4l2.calls import PictureFormat
from edge_detect.sources.v4l2.controls import parse_controls
from edge_detect.sources.v4l2.pixels import open_decoder
from edge_detect.sources.v4l2.source import open_v4l2
from edge_detect.sources.v4l2.stream import Numbering
from edge_detect.sources.wake import Wake

SIZE = Size(64, 48)


def test_request_numbers_are_the_kernels() -> None:
    # As <linux/videodev2.h> gives them on every 64-bit Linux; they hold the structures' sizes.
    numbers = {
        v4l2.VIDIOC_ENUM_FMT: 0xC0405602,
        v4l2.VIDIOC_S_FMT: 0xC0D05605,
        v4l2.VIDIOC_REQBUFS: 0xC0145608,
        v4l2.VIDIOC_QUERYBUF: 0xC0585609,
        v4l2.VIDIOC_QBUF: 0xC058560F,
        v4l2.VIDIOC_DQBUF: 0xC0585611,
        v4l2.VIDIOC_STREAMON: 0x40045612,
        v4l2.VIDIOC_STREAMOFF: 0x40045613,
        v4l2.VIDIOC_G_PARM: 0xC0CC5615,
        v4l2.VIDIOC_S_PARM: 0xC0CC5616,
        v4l2.VIDIOC_S_CTRL: 0xC008561C,
        v4l2.VIDIOC_QUERYCTRL: 0xC0445624,
        v4l2.VIDIOC_TRY_FMT: 0xC0D05640,
        v4l2.VIDIOC_ENUM_FRAMESIZES: 0xC02C564A,
        v4l2.VIDIOC_ENUM_FRAMEINTERVALS: 0xC034564B,
    }
    assert all(ours == kernels for ours, kernels in numbers.items())


def test_fields_lie_where_the_kernel_puts_them() -> None:
    offsets = {
        (v4l2.Buffer, "tv_sec"): 24,
        (v4l2.Buffer, "sequence"): 56,
        (v4l2.Buffer, "offset"): 64,
        (v4l2.Buffer, "length"): 72,
        (v4l2.Format, "fmt"): 8,
        (v4l2.StreamParm, "parm"): 4,
    }
    assert {key: getattr(*key).offset for key in offsets} == offsets
    assert ctypes.sizeof(v4l2.PixFormat) == 48


def test_pixel_formats_have_their_names() -> None:
    assert v4l2.fourcc_code("YUYV") == 0x56595559
    assert v4l2.fourcc_text(v4l2.fourcc_code("MJPG")) == "MJPG"
    assert v4l2.fourcc_text(v4l2.fourcc_code("Y16") | 1 << 31) == "Y16"
    assert v4l2.fourcc_text(1) == "0x00000001"


@pytest.mark.parametrize(
    ("driver", "ours"),
    [
        ([0, 1, 2], [0, 1, 2]),
        ([7, 8, 11], [0, 1, 4]),
        ([0, 0, 0], [0, 1, 2]),
        ([2**32 - 1, 0, 2], [0, 1, 3]),
        ([9, 3, 4], [0, 1, 2]),
    ],
)
def test_numbers_start_at_zero_and_always_grow(driver, ours) -> None:
    numbering = Numbering()
    assert [numbering.next(number) for number in driver] == ours


def jpeg() -> bytes:
    image = np.random.default_rng(3).integers(0, 256, (48, 64, 3), np.uint8)
    return cv2.imencode(".jpg", cv2.blur(image, (9, 9)))[1].tobytes()


def decoder(fourcc: str = "MJPG"):
    decode = open_decoder(PictureFormat(fourcc, SIZE, 0), ImagePool())
    return lambda data: decode(np.frombuffer(data, np.uint8))


def without_huffman_tables(data: bytes) -> bytes:
    kept, at = data[:2], 2
    while data[at + 1] != 0xDA:
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        kept += b"" if data[at + 1] == 0xC4 else data[at:end]
        at = end
    return kept + data[at:]


def test_jpeg_pictures_are_read_with_and_without_tables_and_with_rubbish_behind() -> None:
    decode, data = decoder(), jpeg()
    expected = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR).astype(int)
    for picture in (data, data + bytes(100), without_huffman_tables(data), data[:-2]):
        image = decode(picture)
        assert image.shape == (48, 64, 3)
        assert np.abs(image - expected).mean() < 3


def test_a_damaged_jpeg_picture_is_none_and_the_next_good_one_is_read() -> None:
    decode, data = decoder(), jpeg()
    middle = len(data) * 2 // 3
    hole = data[:middle] + bytes(40) + data[middle + 40 :]
    for damaged in (data[:middle], hole, data[:20], b"", bytes(500)):
        assert decode(damaged) is None
        assert decode(data) is not None


def test_a_camera_whose_every_jpeg_is_odd_is_read_after_a_second() -> None:
    decode, data = decoder(), jpeg()
    cut = data[: len(data) * 9 // 10]
    assert [decode(cut) for _ in range(30)] == [None] * 30
    assert decode(cut).shape == (48, 64, 3)


@pytest.mark.parametrize(("fourcc", "length"), [("YUYV", 64 * 48 * 2), ("NV12", 64 * 72)])
def test_raw_pictures_are_read_only_when_whole(fourcc, length) -> None:
    decode = decoder(fourcc)
    assert decode(bytes([128]) * length).shape == (48, 64, 3)
    assert decode(bytes([128]) * (length + 9)) is not None
    assert decode(bytes([128]) * (length - 1)) is None
    assert decode(b"") is None


@pytest.mark.parametrize(
    ("query", "fact"),
    [
        ("sise=640x480", "sise"),
        ("size=640", "size"),
        ("fps=0", "fps"),
        ("fourcc=H264", "'H264'"),
        ("controls=brightness", "'brightness'"),
        ("controls=gain:much", "'gain:much'"),
    ],
)
def test_impossible_options_are_told_before_the_device_is_touched(query, fact) -> None:
    with pytest.raises(ConfigError, match=fact):
        open_v4l2(parse_url(f"v4l2:///dev/video97?{query}"), None)


@pytest.mark.parametrize("url", ["v4l2://", "v4l2://?fps=30", "v4l2:///dev/video%00"])
def test_a_url_must_name_a_device(url) -> None:
    with pytest.raises(SourceError, match="names no device"):
        open_v4l2(parse_url(url), None)


@pytest.mark.parametrize("path", ["/dev/video97", "/dev/v4l/by-id/usb-gone-video-index0"])
def test_a_device_that_is_not_there_may_come(path) -> None:
    with pytest.raises(SourceError, match=f"there is no camera at {path}") as caught:
        open_source(path)
    assert caught.value.transient


def test_controls_are_read_in_their_order() -> None:
    url = parse_url("v4l2:///dev/video0?controls=auto_exposure:1,gain:-3")
    assert parse_controls(url) == (("auto_exposure", 1), ("gain", -3))
    assert parse_controls(parse_url("v4l2:///dev/video0")) == ()


def test_a_wake_ends_a_wait_from_another_thread_and_may_be_set_after_closing() -> None:
    wake = Wake()
    poll = select.poll()
    poll.register(wake.fileno(), select.POLLIN)
    assert poll.poll(0) == []
    threading.Timer(0.05, wake.set).start()
    assert poll.poll(10_000)
    assert wake.is_set
    wake.close()
    wake.close()
    wake.set()
    assert wake.fileno() == -1
