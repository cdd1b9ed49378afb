"""The way of pictures into GStreamer, whatever the computer's clock says."""

import numpy as np
import pytest

from edge_detect.core import NS_PER_S, Frame, Picture, Size
from edge_detect.sinks.encoder import EncodedPicture
from edge_detect.sinks.rtsp.feed import LAUNCH, Feed
from edge_detect.sinks.rtsp.system import load_rtsp_libraries

# From the moment at which the computer was started to years later.
CLOCKS_NS = [0, 1, 3 * NS_PER_S, 10 * NS_PER_S, 11 * NS_PER_S, 10**17]


@pytest.fixture
def libraries():
    return load_rtsp_libraries()


@pytest.fixture
def media(libraries):
    """A GstRTSPMedia as a server has it for the first viewer.

    Not from a factory: that one gives it locked in some releases of GStreamer, and a lock that is
    held at the end, or let go without being held, ends the process.
    """
    gst = libraries.Gst
    media = libraries.GstRtspServer.RTSPMedia.new(gst.parse_launch(LAUNCH))
    media.take_pipeline(gst.Pipeline.new("media"))
    return media


def encoded_at(captured_ns: int) -> EncodedPicture:
    image = np.zeros((2, 2, 3), np.uint8)
    picture = Picture(Frame(image, captured_ns, 0, "test", 0), image, None)
    return EncodedPicture(b"\0\0\1\x65", True, Size(2, 2), picture)


class Clock:
    """A clock that is moved by hand."""

    def __init__(self, now_ns: int) -> None:
        self.now_ns = now_ns

    def __call__(self) -> int:
        return self.now_ns


@pytest.fixture
def pushed(media):
    """The buffers that the source of the pipeline was given."""
    buffers = []
    media.get_element().get_by_name("video").connect(
        "push-buffer", lambda _, buffer: buffers.append(buffer)
    )
    return buffers


def ignore(_captured_ns: int) -> None:
    pass


@pytest.mark.parametrize("now_ns", CLOCKS_NS)
def test_pictures_keep_their_times_however_long_the_computer_has_been_on(
    libraries, media, pushed, now_ns
):
    feed = Feed(libraries, media, ignore, Clock(now_ns))
    just_before_ns = max(0, now_ns - NS_PER_S)
    times_ns = [just_before_ns, now_ns + 1, now_ns + 33_000_000]
    for captured_ns in times_ns:
        feed.push(encoded_at(captured_ns))
    # GStreamer adds the two up, and shows a picture when its clock has come so far.
    base_ns = media.get_element().get_parent().get_base_time()
    assert [base_ns + buffer.pts for buffer in pushed] == times_ns
    assert feed.dropped == 0


@pytest.mark.parametrize("now_ns", CLOCKS_NS)
def test_a_first_picture_is_overdue_after_the_time_allowed_and_not_before(libraries, media, now_ns):
    clock = Clock(now_ns)
    feed = Feed(libraries, media, ignore, clock)
    bus = media.get_element().get_parent().get_bus()
    for waited_s, overdue in ((0, False), (2, False), (2.1, True)):
        clock.now_ns = now_ns + round(waited_s * NS_PER_S)
        feed.check(2)
        assert (bus.pop_filtered(libraries.Gst.MessageType.ERROR) is not None) == overdue


def test_no_time_of_the_pipeline_goes_backwards(libraries, media, pushed):
    """GStreamer's server would abort the process."""
    feed = Feed(libraries, media, ignore, Clock(3 * NS_PER_S))
    for captured_ns in (5, 7, 6, 7, 8):
        feed.push(encoded_at(captured_ns))
    assert [buffer.pts for buffer in pushed] == [5, 7, 8]
    assert feed.dropped == 2
