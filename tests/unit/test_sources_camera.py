"""The first camera is found among codecs and image processors; the kernel is faked."""

import errno
import struct
from pathlib import Path

import pytest

from edge_detect.sources.camera import VIDIOC_QUERYCAP, first_camera, parse_capability
from edge_detect.sources.v4l2.source import captured_at

CAPTURE, META, M2M, STREAMING = 0x1, 0x00800000, 0x8000, 0x04000000
DEVICE_CAPS = 0x80000000


def capability(driver: str, caps: int, device_caps: int | None = None) -> bytes:
    """What the kernel fills in for a device."""
    flags = caps if device_caps is None else caps | DEVICE_CAPS
    return struct.pack(
        "=16s32s32sIII12x",
        driver.encode(),
        b"HD Webcam",
        b"usb-1",
        0x060100,
        flags,
        device_caps or 0,
    )


class FakeKernel:
    """Answers VIDIOC_QUERYCAP by the name of the device node."""

    def __init__(self, answers: dict[str, bytes | None]) -> None:
        self.answers = answers

    def ioctl(self, device: int, request: int, buffer: bytearray) -> int:
        """Fill the buffer, or refuse as a device of another kind does."""
        assert request == 0x80685600  # VIDIOC_QUERYCAP on every 64-bit Linux
        answer = self.answers[Path(f"/proc/self/fd/{device}").readlink().name]
        if answer is None:
            raise OSError(errno.ENOTTY, "not a V4L2 device")
        buffer[:] = answer
        return 0


WEBCAM = capability("uvcvideo", CAPTURE | META | STREAMING, CAPTURE | STREAMING)
WEBCAM_METADATA = capability("uvcvideo", CAPTURE | META | STREAMING, META | STREAMING)


def test_the_request_number_is_the_kernels() -> None:
    assert VIDIOC_QUERYCAP == 0x80685600


def test_the_nodes_own_capabilities_count() -> None:
    assert parse_capability(WEBCAM).is_camera
    assert parse_capability(WEBCAM).card == "HD Webcam"
    assert not parse_capability(WEBCAM_METADATA).is_camera


def test_old_drivers_without_device_capabilities_are_understood() -> None:
    assert parse_capability(capability("old", CAPTURE)).is_camera


@pytest.mark.parametrize(
    "answer",
    [
        capability("bcm2835-codec", M2M, M2M),
        capability("bcm2835-isp", CAPTURE, CAPTURE),
        capability("rpivid", CAPTURE, CAPTURE),
        capability("pispbe", CAPTURE, CAPTURE),
        capability("unicam", CAPTURE, CAPTURE),
        capability("rp1-cfe", CAPTURE, CAPTURE),
        capability("vicodec", CAPTURE | M2M, CAPTURE | M2M),
    ],
)
def test_codecs_and_image_processors_are_no_cameras(answer) -> None:
    assert not parse_capability(answer).is_camera


def test_only_receivers_of_the_csi_connector_are_told_to_be_that() -> None:
    drivers = ("unicam", "bcm2835-unicam", "rp1-cfe", "pispbe", "uvcvideo")
    receivers = [
        name for name in drivers if parse_capability(capability(name, CAPTURE)).is_csi_receiver
    ]
    assert receivers == ["unicam", "bcm2835-unicam", "rp1-cfe"]


def test_the_camera_with_the_lowest_number_is_first(tmp_path) -> None:
    answers = {
        "video0": None,
        "video2": capability("pispbe", CAPTURE, CAPTURE),
        "video9": WEBCAM_METADATA,
        "video10": WEBCAM,
        "video11": WEBCAM,
    }
    for name in (*answers, "video-codec"):
        (tmp_path / name).touch()
    found = first_camera(tmp_path, FakeKernel(answers).ioctl)
    assert found == f"v4l2://{tmp_path}/video10"


def test_without_a_camera_there_is_none(tmp_path) -> None:
    assert first_camera(tmp_path, FakeKernel({}).ioctl) is None


def test_a_drivers_time_counts_only_if_it_is_on_our_clock() -> None:
    now = 100_000_000_000
    assert captured_at(now - 30_000_000, now) == now - 30_000_000
    assert captured_at(1_700_000_000_000_000_000, now) == now
    assert captured_at(now - 2_000_000_000, now) == now
    assert captured_at(None, now) == now


def test_a_time_of_zero_is_none_also_on_a_machine_that_has_just_started() -> None:
    now = 500_000_000
    assert captured_at(0, now) == now
    assert captured_at(1, now) == 1
