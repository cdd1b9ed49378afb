"""The H.264 encoder that sinks share."""

import errno
import os
from collections.abc import Sequence

import av
import cv2
import numpy as np
import pytest

from edge_detect.core import ConfigError, Frame, Picture, SinkError, Size
from edge_detect.core.url import parse_url
from edge_detect.sinks import encoder as encoder_module
from edge_detect.sinks.encoder import (
    EncodedPicture,
    Encoder,
    Encoders,
    EncoderSettings,
    encoder_settings,
)
from edge_detect.sinks.h264 import ParameterSets, nal_unit_types

SOFTWARE = EncoderSettings("libx264")
KEY_FRAME = [7, 8, 5]
START_NS = 10**12
SMALL = Size(64, 48)


def picture_of(
    number: int, size: Size = SMALL, *, fps: float = 30.0, start_ns: int = START_NS
) -> Picture:
    """A grey picture, lighter from one to the next."""
    image = np.full((size.height, size.width, 3), 40 + number % 150, np.uint8)
    captured_ns = start_ns + round(number * 1e9 / fps)
    return Picture(Frame(image, captured_ns, number, "test", captured_ns), image, None)


def encode(
    encoder: Encoder, count: int, *, first: int = 0, fps: float = 30.0
) -> list[EncodedPicture]:
    """What a subscriber gets for that many pictures."""
    received: list[EncodedPicture] = []
    encoder.subscribe(received.append)
    for number in range(first, first + count):
        encoder.write(picture_of(number, fps=fps))
    encoder.unsubscribe(received.append)
    return received


def numbers(encoded: Sequence[EncodedPicture]) -> list[int]:
    return [each.picture.frame.sequence for each in encoded]


def keys(encoded: Sequence[EncodedPicture]) -> list[int]:
    return numbers([each for each in encoded if each.key])


def decode(encoded: Sequence[EncodedPicture]) -> list[np.ndarray]:
    codec = av.CodecContext.create("h264", "r")
    frames = [frame for each in encoded for frame in codec.decode(av.Packet(each.data))]
    frames += codec.decode(None)
    return [frame.to_ndarray(format="bgr24") for frame in frames]


def test_every_picture_comes_out_at_once_as_one_access_unit_with_one_slice():
    """Slices are what some players put together wrongly, and waiting is delay."""
    encoder = Encoder(SOFTWARE, 30.0)
    received: list[EncodedPicture] = []
    encoder.subscribe(received.append)
    for number in range(40):
        encoder.write(picture_of(number, Size(640, 360)))
        assert numbers(received) == list(range(number + 1))
    for each in received:
        pictures = [kind for kind in all_nal_unit_types(each.data) if kind in (1, 5)]
        assert len(pictures) == 1
        if each.key:
            assert [kind for kind in nal_unit_types(each.data) if kind != 6] == KEY_FRAME
            assert [frame.width for frame in decode_data(each.data)] == [640]


def all_nal_unit_types(data: bytes) -> list[int]:
    return [part[0] & 31 for part in data.split(b"\x00\x00\x01")[1:]]


def test_what_comes_out_shows_what_went_in():
    pictures = decode(encode(Encoder(SOFTWARE, 30.0), 40))
    assert len(pictures) == 40
    for number, picture in enumerate(pictures):
        assert picture.mean() == pytest.approx(40 + number, abs=3)


def test_sinks_that_want_the_same_share_one_encoding():
    encoders = Encoders(30.0)
    first = encoders.get(EncoderSettings("libx264", bitrate_kbps=500))
    second = encoders.get(EncoderSettings("libx264", bitrate_kbps=500))
    assert first is second
    assert encoders.get(EncoderSettings("libx264", bitrate_kbps=600)) is not first
    one: list[EncodedPicture] = []
    other: list[EncodedPicture] = []
    first.subscribe(one.append)
    first.subscribe(other.append)
    for number in range(10):
        picture = picture_of(number)
        first.write(picture)
        second.write(picture)
    assert numbers(one) == list(range(10))
    assert [id(each) for each in one] == [id(each) for each in other]


def test_nothing_is_encoded_without_subscribers():
    encoder = Encoder(EncoderSettings("h264_v4l2m2m"), 30.0)
    assert not encoder.wanted
    encoder.write(picture_of(0))
    received: list[EncodedPicture] = []
    encoder.subscribe(received.append)
    assert encoder.wanted
    encoder.unsubscribe(received.append)
    assert not encoder.wanted
    encoder.write(picture_of(1))
    assert received == []


def test_a_subscriber_begins_with_a_key_frame_also_when_others_are_there_already():
    encoder = Encoder(SOFTWARE, 30.0)
    early: list[EncodedPicture] = []
    late: list[EncodedPicture] = []
    encoder.subscribe(early.append)
    for number in range(20):
        encoder.write(picture_of(number))
    encoder.subscribe(late.append)
    encoder.write(picture_of(20))
    assert late[0].key
    assert keys(early) == [0, 20]


def test_a_new_subscriber_after_a_pause_gets_a_key_frame_first():
    encoder = Encoder(SOFTWARE, 30.0)
    encode(encoder, 5)
    again = encode(encoder, 5, first=5)
    assert keys(again)[0] == 5
    assert len(decode(again)) == 5


def test_key_frames_come_on_request_but_not_too_close():
    encoder = Encoder(EncoderSettings("libx264", keyframe_s=10), 30.0)
    received: list[EncodedPicture] = []
    encoder.subscribe(received.append)
    for number in range(60):
        if number >= 20:
            encoder.request_key()
        encoder.write(picture_of(number))
    assert keys(received) == [0, 20, 35, 50]


@pytest.mark.parametrize("start_ns", [0, 1, 10**8, 10**17])
def test_nothing_depends_on_how_long_the_computer_has_been_on(start_ns):
    """Frames carry CLOCK_MONOTONIC, which is near zero after a start."""
    encoder = Encoder(EncoderSettings("libx264", fps=10, keyframe_s=2), 30.0)
    received: list[EncodedPicture] = []
    encoder.subscribe(received.append)
    for number in range(90):
        if number == 3:
            encoder.request_key()
        encoder.write(picture_of(number, start_ns=start_ns))
    assert numbers(received) == list(range(0, 90, 3))
    # The first; the one asked for, half a second later at the earliest; each after 2 s.
    assert keys(received) == [0, 15, 75]
    assert len(decode(received)) == 30


@pytest.mark.parametrize("fps", [5.0, 30.0, 60.0])
def test_key_frames_keep_their_distance_in_seconds_whatever_the_rate(fps):
    """The nominal rate is 30: a camera in the dark, or a slow detector, gives less."""
    encoded = encode(
        Encoder(EncoderSettings("libx264", keyframe_s=2), 30.0), 10 * int(fps), fps=fps
    )
    assert keys(encoded) == [round(second * fps) for second in (0, 2, 4, 6, 8)]


@pytest.mark.parametrize(("wanted", "given"), [(25, 30), (20, 30), (10, 30), (29.97, 30), (15, 24)])
def test_pictures_above_the_wanted_rate_are_left_out_evenly(wanted, given):
    random = np.random.default_rng(1)
    encoder = Encoder(EncoderSettings("libx264", fps=wanted), given)
    received: list[EncodedPicture] = []
    encoder.subscribe(received.append)
    for number in range(given * 4):
        picture = picture_of(number, fps=given)
        jitter_ns = int(random.integers(-2_000_000, 2_000_000))
        frame = Frame(picture.image, picture.frame.captured_ns + jitter_ns, number, "test", 0)
        encoder.write(Picture(frame, picture.image, None))
    assert len(received) == pytest.approx(4 * wanted, abs=2)
    gaps = np.diff(numbers(received))
    assert gaps.max() - gaps.min() <= 1


def test_a_camera_that_was_away_leaves_no_debt_of_pictures():
    encoder = Encoder(EncoderSettings("libx264", fps=10), 30.0)
    received: list[EncodedPicture] = []
    encoder.subscribe(received.append)
    for number in [*range(30), *range(300, 330)]:
        encoder.write(picture_of(number))
    assert sum(each >= 300 for each in numbers(received)) == pytest.approx(10, abs=1)


def test_pictures_of_another_size_are_fitted_in_with_black_bars():
    encoder = Encoder(SOFTWARE, 30.0)
    received: list[EncodedPicture] = []
    encoder.subscribe(received.append)
    encoder.write(picture_of(60, Size(128, 64)))
    encoder.write(picture_of(61, Size(64, 64)))
    assert [each.size for each in received] == [Size(128, 64)] * 2
    fitted = decode(received)[1]
    assert fitted[:, :28].max() < 20
    assert fitted[:, -28:].max() < 20
    assert fitted[:, 36:92].mean() == pytest.approx(101, abs=4)


def test_the_wanted_size_is_kept_with_the_right_shape():
    encoder = Encoder(EncoderSettings("libx264", Size(64, 64)), 30.0)
    received: list[EncodedPicture] = []
    encoder.subscribe(received.append)
    image = np.zeros((96, 192, 3), np.uint8)
    cv2.circle(image, (96, 48), 40, (255, 255, 255), -1)
    encoder.write(Picture(Frame(image, START_NS, 0, "test", 0), image, None))
    disc = decode(received)[0][:, :, 1] > 128
    assert np.ptp(np.flatnonzero(disc.any(axis=0))) == pytest.approx(26, abs=2)
    assert np.ptp(np.flatnonzero(disc.any(axis=1))) == pytest.approx(26, abs=2)


def test_a_picture_from_the_past_is_not_encoded():
    encoder = Encoder(SOFTWARE, 30.0)
    received: list[EncodedPicture] = []
    encoder.subscribe(received.append)
    for number in (5, 6, 4, 6, 7):
        encoder.write(picture_of(number))
    assert numbers(received) == [5, 6, 7]


def test_an_encoder_that_is_not_there_is_an_error_with_a_way_out():
    encoder = Encoder(EncoderSettings("h264_v4l2m2m"), 30.0)
    encoder.subscribe(lambda _encoded: None)
    with pytest.raises(SinkError, match=r"no H\.264 encoder works \(h264_v4l2m2m: ") as caught:
        encoder.write(picture_of(0))
    assert "libx264" in caught.value.hint


class BrokenHardware:
    """Imitates an encoder in hardware whose driver fails at the third picture."""

    def __init__(self) -> None:
        self._pictures = 0

    def encode(self, _frame: av.VideoFrame) -> list[av.Packet]:
        self._pictures += 1
        if self._pictures == 3:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return []


def test_hardware_that_fails_at_work_is_replaced_by_software(monkeypatch):
    opened: list[str] = []
    open_codec = encoder_module._open_codec

    def open_instead(name, size, fps, settings):
        opened.append(name)
        if name == "h264_v4l2m2m":
            return BrokenHardware()
        return open_codec(name, size, fps, settings)

    monkeypatch.setattr(encoder_module, "_open_codec", open_instead)
    encoder = Encoder(EncoderSettings(), 30.0)
    received: list[EncodedPicture] = []
    encoder.subscribe(received.append)
    with pytest.raises(SinkError, match="h264_v4l2m2m failed: Input/output error") as caught:
        for number in range(3):
            encoder.write(picture_of(number))
    assert caught.value.transient
    for number in range(100, 110):
        encoder.write(picture_of(number))
    assert numbers(received) == list(range(100, 110))
    assert received[0].key
    assert opened == ["h264_v4l2m2m", "libx264"]


def test_key_frames_of_encoders_that_give_their_parameter_sets_once_are_completed():
    key, other = (each.data for each in encode(Encoder(SOFTWARE, 30.0), 2))
    begin = key.index(b"\x00\x00\x01\x65")
    sets, bare = key[:begin], key[begin:]
    parameter_sets = ParameterSets()
    assert parameter_sets.complete(sets) is None
    completed = parameter_sets.complete(bare)
    assert nal_unit_types(completed) == KEY_FRAME
    assert len(decode_data(completed)) == 1
    assert parameter_sets.complete(other) == other
    assert parameter_sets.complete(key) == key
    assert nal_unit_types(parameter_sets.complete(bare)) == KEY_FRAME


def decode_data(data: bytes) -> list[av.VideoFrame]:
    codec = av.CodecContext.create("h264", "r")
    return [*codec.decode(av.Packet(data)), *codec.decode(None)]


@pytest.mark.parametrize(
    "data", [b"", b"\x00\x00\x01", b"\x00\x00", b"\x09\xf0", b"\x00\x00\x01\x09"]
)
def test_what_holds_no_picture_is_no_access_unit(data):
    assert ParameterSets().complete(data) is None


def test_options_of_the_url_are_understood():
    url = parse_url(
        "rtsp://:8554/live?encoder=x264enc&size=640x360&fps=12.5&bitrate=900&keyframe=2"
    )
    assert encoder_settings(url) == EncoderSettings("libx264", Size(640, 360), 12.5, 900, 2.0)
    assert encoder_settings(parse_url("rtsp://:8554/live")) == EncoderSettings()


@pytest.mark.parametrize("option", ["encoder=h265", "fps=0", "bitrate=1", "keyframe=x", "size=0x0"])
def test_impossible_options_are_refused(option):
    with pytest.raises(ConfigError):
        encoder_settings(parse_url(f"rtsp://:8554/live?{option}"))
