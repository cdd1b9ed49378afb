"""What the kernel is asked about a camera: one function per question."""

import errno
import fcntl
from collections.abc import Iterator
from ctypes import Structure, c_int32
from fractions import Fraction
from typing import NamedTuple

from edge_detect.core import Size
from edge_detect.sources.v4l2 import structs as v4l2
from edge_detect.sources.v4l2.modes import Mode, SizeRange

__all__ = [
    "PictureFormat",
    "dequeue",
    "list_modes",
    "query_buffer",
    "queue",
    "request_buffers",
    "set_format",
    "set_rate",
    "start_stream",
    "stop_stream",
]

# No camera has more of anything; a driver that never says "no more" must not hold us.
_MOST_ENTRIES = 128
# A signal may interrupt a call that waits in the driver; no program gets so many in a row.
_ATTEMPTS = 10
_CAPTURE = v4l2.BUF_TYPE_VIDEO_CAPTURE


class PictureFormat(NamedTuple):
    """How pictures lie in the driver's buffers.

    Attributes:
        fourcc: Pixel format.
        size: In pixels.
        stride: Bytes from one row to the next; 0 for compressed formats.
    """

    fourcc: str
    size: Size
    stride: int


def call(fd: int, request: int, argument: Structure | c_int32) -> None:
    """Make one request; the kernel writes its answer into the argument.

    Raises:
        OSError: The driver refuses.
    """
    for _ in range(_ATTEMPTS - 1):
        try:
            fcntl.ioctl(fd, request, argument)
        except InterruptedError:
            continue
        return
    fcntl.ioctl(fd, request, argument)


def list_modes(fd: int, near: Size) -> list[Mode]:
    """Every format, size and rate that a camera offers.

    Args:
        fd: The device.
        near: Of cameras that take any size, the nearest one to this is listed, beside their
            smallest and largest.

    Raises:
        OSError: The device was unplugged, or captures no pictures.
    """
    modes: dict[tuple[str, Size], Mode] = {}
    for code in _formats(fd):
        for size in _sizes(fd, code, near):
            fourcc = v4l2.fourcc_text(code)
            modes.setdefault((fourcc, size), _with_rates(fd, code, size))
    return list(modes.values())


def set_format(fd: int, fourcc: str, size: Size) -> PictureFormat:
    """Choose what is captured.

    Returns:
        What the driver made of it, which may differ.

    Raises:
        OSError: As EBUSY if another program is capturing.
    """
    answer = _format(fourcc, size)
    call(fd, v4l2.VIDIOC_S_FMT, answer)
    pix = answer.pix
    return PictureFormat(
        v4l2.fourcc_text(pix.pixelformat), Size(pix.width, pix.height), pix.bytesperline
    )


def set_rate(fd: int, fps: Fraction | None) -> Fraction | None:
    """Choose the frame rate.

    Args:
        fd: The device.
        fps: Wanted; None leaves it as it is.

    Returns:
        The rate that the driver names; None if it names none.

    Raises:
        OSError: The device was unplugged.
    """
    parm = v4l2.StreamParm(type=_CAPTURE)
    try:
        call(fd, v4l2.VIDIOC_G_PARM, parm)
        if fps is not None and parm.capture.capability & v4l2.CAP_TIMEPERFRAME:
            parm.capture.timeperframe = v4l2.Fract(fps.denominator, fps.numerator)
            call(fd, v4l2.VIDIOC_S_PARM, parm)
    except OSError as error:
        # A driver without rates is no defect.
        if error.errno not in {errno.ENOTTY, errno.EINVAL}:
            raise
        return None
    return _rate(parm.capture.timeperframe)


def request_buffers(fd: int, count: int) -> int:
    """Have the driver make buffers that can be mapped; 0 frees them.

    Returns:
        How many there are, which may be fewer or more.

    Raises:
        OSError: As EBUSY if another program is capturing.
    """
    request = v4l2.RequestBuffers(count=count, type=_CAPTURE, memory=v4l2.MEMORY_MMAP)
    call(fd, v4l2.VIDIOC_REQBUFS, request)
    return int(request.count)


def query_buffer(fd: int, index: int) -> v4l2.Buffer:
    """Where a buffer can be mapped (`offset`) and how large it is (`length`).

    Raises:
        OSError: There is no such buffer.
    """
    buffer = _buffer(index)
    call(fd, v4l2.VIDIOC_QUERYBUF, buffer)
    return buffer


def queue(fd: int, index: int) -> None:
    """Give a buffer to the driver.

    Raises:
        OSError: The device was unplugged.
    """
    call(fd, v4l2.VIDIOC_QBUF, _buffer(index))


def dequeue(fd: int) -> v4l2.Buffer | None:
    """Take a filled buffer; None if none is ready.

    Raises:
        OSError: The device was unplugged or failed.
    """
    buffer = _buffer(0)
    try:
        call(fd, v4l2.VIDIOC_DQBUF, buffer)
    except BlockingIOError:
        return None
    return buffer


def start_stream(fd: int) -> None:
    """Let the driver fill buffers.

    Raises:
        OSError: As ENOSPC if the USB bus has no bandwidth left.
    """
    call(fd, v4l2.VIDIOC_STREAMON, c_int32(_CAPTURE))


def stop_stream(fd: int) -> None:
    """Take all buffers from the driver.

    Raises:
        OSError: The device was unplugged.
    """
    call(fd, v4l2.VIDIOC_STREAMOFF, c_int32(_CAPTURE))


def _formats(fd: int) -> Iterator[int]:
    for index in range(_MOST_ENTRIES):
        entry = v4l2.FmtDesc(index=index, type=_CAPTURE)
        if not _next_entry(fd, v4l2.VIDIOC_ENUM_FMT, entry):
            return
        yield entry.pixelformat


def _sizes(fd: int, code: int, near: Size) -> list[Size]:
    sizes: list[Size] = []
    for index in range(_MOST_ENTRIES):
        entry = v4l2.FrmSizeEnum(index=index, pixel_format=code)
        if not _next_entry(fd, v4l2.VIDIOC_ENUM_FRAMESIZES, entry):
            break
        if entry.type == v4l2.FRAME_TYPE_DISCRETE:
            sizes.append(Size(entry.min_width, entry.max_width))
            continue
        limits = SizeRange(
            Size(entry.min_width, entry.min_height),
            Size(entry.max_width, entry.max_height),
            Size(entry.step_width, entry.step_height),
        )
        return [limits.largest, limits.nearest(near), limits.smallest]
    if sizes:
        return sizes
    # Old drivers do not list sizes, but say which one they would take.
    answer = _format(v4l2.fourcc_text(code), near)
    if not _next_entry(fd, v4l2.VIDIOC_TRY_FMT, answer):
        return []
    return [Size(answer.pix.width, answer.pix.height)]


def _with_rates(fd: int, code: int, size: Size) -> Mode:
    fourcc = v4l2.fourcc_text(code)
    rates: list[Fraction] = []
    for index in range(_MOST_ENTRIES):
        entry = v4l2.FrmIvalEnum(
            index=index, pixel_format=code, width=size.width, height=size.height
        )
        if not _next_entry(fd, v4l2.VIDIOC_ENUM_FRAMEINTERVALS, entry):
            break
        if entry.type != v4l2.FRAME_TYPE_DISCRETE:
            limits = (_rate(entry.least), _rate(entry.most))
            return Mode(fourcc, size, tuple(rate for rate in limits if rate), any_between=True)
        rate = _rate(entry.least)
        if rate is not None:
            rates.append(rate)
    return Mode(fourcc, size, tuple(rates))


def _next_entry(fd: int, request: int, entry: Structure) -> bool:
    """Whether a list goes on, or is kept at all."""
    try:
        call(fd, request, entry)
    except OSError as error:
        if error.errno in {errno.EINVAL, errno.ENOTTY}:
            return False
        raise
    return True


def _format(fourcc: str, size: Size) -> v4l2.Format:
    wanted = v4l2.Format(type=_CAPTURE)
    wanted.pix.width, wanted.pix.height = size
    wanted.pix.pixelformat = v4l2.fourcc_code(fourcc)
    return wanted


def _buffer(index: int) -> v4l2.Buffer:
    return v4l2.Buffer(index=index, type=_CAPTURE, memory=v4l2.MEMORY_MMAP)


def _rate(interval: v4l2.Fract) -> Fraction | None:
    """Frames per second; drivers that do not know say 0/0."""
    if not interval.numerator or not interval.denominator:
        return None
    return Fraction(interval.denominator, interval.numerator)
