"""The structures and request numbers of <linux/videodev2.h> that capturing needs.

Layouts are those of 64-bit machines, the only ones that are supported. Names are the kernel's,
so that its documentation can be followed word by word.
"""

import ctypes
from ctypes import Structure, Union, c_char, c_int32, c_long, c_ubyte, c_uint32, c_ulong

__all__ = [
    "BUF_FLAG_ERROR",
    "BUF_FLAG_TIMESTAMP_MASK",
    "BUF_FLAG_TIMESTAMP_MONOTONIC",
    "BUF_TYPE_VIDEO_CAPTURE",
    "CAP_TIMEPERFRAME",
    "CTRL_FLAG_NEXT_CTRL",
    "CTRL_FLAG_UNUSABLE",
    "FRAME_TYPE_DISCRETE",
    "MEMORY_MMAP",
    "VIDIOC_DQBUF",
    "VIDIOC_ENUM_FMT",
    "VIDIOC_ENUM_FRAMEINTERVALS",
    "VIDIOC_ENUM_FRAMESIZES",
    "VIDIOC_G_PARM",
    "VIDIOC_QBUF",
    "VIDIOC_QUERYBUF",
    "VIDIOC_QUERYCTRL",
    "VIDIOC_REQBUFS",
    "VIDIOC_STREAMOFF",
    "VIDIOC_STREAMON",
    "VIDIOC_S_CTRL",
    "VIDIOC_S_FMT",
    "VIDIOC_S_PARM",
    "VIDIOC_TRY_FMT",
    "Buffer",
    "CaptureParm",
    "Control",
    "FmtDesc",
    "Format",
    "Fract",
    "FrmIvalEnum",
    "FrmSizeEnum",
    "PixFormat",
    "QueryCtrl",
    "RequestBuffers",
    "StreamParm",
    "fourcc_code",
    "fourcc_text",
]

BUF_TYPE_VIDEO_CAPTURE = 1
MEMORY_MMAP = 1
FRAME_TYPE_DISCRETE = 1
CAP_TIMEPERFRAME = 0x1000
BUF_FLAG_ERROR = 0x00000040
BUF_FLAG_TIMESTAMP_MASK = 0x0000E000
BUF_FLAG_TIMESTAMP_MONOTONIC = 0x00002000
CTRL_FLAG_NEXT_CTRL = 0x80000000
# Disabled, or read-only.
CTRL_FLAG_UNUSABLE = 0x0001 | 0x0004


class Fract(Structure):
    """struct v4l2_fract: seconds per frame, mostly."""

    _fields_ = (("numerator", c_uint32), ("denominator", c_uint32))


class FmtDesc(Structure):
    """struct v4l2_fmtdesc."""

    _fields_ = (
        ("index", c_uint32),
        ("type", c_uint32),
        ("flags", c_uint32),
        ("description", c_char * 32),
        ("pixelformat", c_uint32),
        ("mbus_code", c_uint32),
        ("reserved", c_uint32 * 3),
    )


class FrmSizeEnum(Structure):
    """struct v4l2_frmsizeenum; a discrete size fills `min_width` and `max_width`."""

    _fields_ = (
        ("index", c_uint32),
        ("pixel_format", c_uint32),
        ("type", c_uint32),
        # The union: either width and height, or a range.
        ("min_width", c_uint32),
        ("max_width", c_uint32),
        ("step_width", c_uint32),
        ("min_height", c_uint32),
        ("max_height", c_uint32),
        ("step_height", c_uint32),
        ("reserved", c_uint32 * 2),
    )


class FrmIvalEnum(Structure):
    """struct v4l2_frmivalenum; a discrete interval fills `least`."""

    _fields_ = (
        ("index", c_uint32),
        ("pixel_format", c_uint32),
        ("width", c_uint32),
        ("height", c_uint32),
        ("type", c_uint32),
        ("least", Fract),
        ("most", Fract),
        ("step", Fract),
        ("reserved", c_uint32 * 2),
    )


class PixFormat(Structure):
    """struct v4l2_pix_format."""

    _fields_ = (
        ("width", c_uint32),
        ("height", c_uint32),
        ("pixelformat", c_uint32),
        ("field", c_uint32),
        ("bytesperline", c_uint32),
        ("sizeimage", c_uint32),
        ("colorspace", c_uint32),
        ("priv", c_uint32),
        ("flags", c_uint32),
        ("ycbcr_enc", c_uint32),
        ("quantization", c_uint32),
        ("xfer_func", c_uint32),
    )


class _FormatUnion(Union):
    # The kernel's union holds a pointer, which sets its alignment.
    _fields_ = (("pix", PixFormat), ("raw", c_ubyte * 200), ("pointer", c_ulong))


class Format(Structure):
    """struct v4l2_format."""

    _anonymous_ = ("fmt",)
    _fields_ = (("type", c_uint32), ("fmt", _FormatUnion))


class CaptureParm(Structure):
    """struct v4l2_captureparm."""

    _fields_ = (
        ("capability", c_uint32),
        ("capturemode", c_uint32),
        ("timeperframe", Fract),
        ("extendedmode", c_uint32),
        ("readbuffers", c_uint32),
        ("reserved", c_uint32 * 4),
    )


class _ParmUnion(Union):
    _fields_ = (("capture", CaptureParm), ("raw", c_ubyte * 200))


class StreamParm(Structure):
    """struct v4l2_streamparm."""

    _anonymous_ = ("parm",)
    _fields_ = (("type", c_uint32), ("parm", _ParmUnion))


class RequestBuffers(Structure):
    """struct v4l2_requestbuffers."""

    _fields_ = (
        ("count", c_uint32),
        ("type", c_uint32),
        ("memory", c_uint32),
        ("capabilities", c_uint32),
        ("reserved", c_uint32),
    )


class Buffer(Structure):
    """struct v4l2_buffer; of the unions, the members for mmap."""

    _fields_ = (
        ("index", c_uint32),
        ("type", c_uint32),
        ("bytesused", c_uint32),
        ("flags", c_uint32),
        ("field", c_uint32),
        ("tv_sec", c_long),
        ("tv_usec", c_long),
        ("timecode", c_uint32 * 4),
        ("sequence", c_uint32),
        ("memory", c_uint32),
        ("offset", c_ulong),
        ("length", c_uint32),
        ("reserved2", c_uint32),
        ("request_fd", c_int32),
    )


class QueryCtrl(Structure):
    """struct v4l2_queryctrl."""

    _fields_ = (
        ("id", c_uint32),
        ("type", c_uint32),
        ("name", c_char * 32),
        ("minimum", c_int32),
        ("maximum", c_int32),
        ("step", c_int32),
        ("default_value", c_int32),
        ("flags", c_uint32),
        ("reserved", c_uint32 * 2),
    )


class Control(Structure):
    """struct v4l2_control."""

    _fields_ = (("id", c_uint32), ("value", c_int32))


def _request(direction: int, number: int, argument: type) -> int:
    """_IOC('V') of <asm-generic/ioctl.h>; direction: 1 write, 2 read, 3 both."""
    return direction << 30 | ctypes.sizeof(argument) << 16 | ord("V") << 8 | number


VIDIOC_ENUM_FMT = _request(3, 2, FmtDesc)
VIDIOC_S_FMT = _request(3, 5, Format)
VIDIOC_REQBUFS = _request(3, 8, RequestBuffers)
VIDIOC_QUERYBUF = _request(3, 9, Buffer)
VIDIOC_QBUF = _request(3, 15, Buffer)
VIDIOC_DQBUF = _request(3, 17, Buffer)
VIDIOC_STREAMON = _request(1, 18, c_int32)
VIDIOC_STREAMOFF = _request(1, 19, c_int32)
VIDIOC_G_PARM = _request(3, 21, StreamParm)
VIDIOC_S_PARM = _request(3, 22, StreamParm)
VIDIOC_S_CTRL = _request(3, 28, Control)
VIDIOC_QUERYCTRL = _request(3, 36, QueryCtrl)
VIDIOC_TRY_FMT = _request(3, 64, Format)
VIDIOC_ENUM_FRAMESIZES = _request(3, 74, FrmSizeEnum)
VIDIOC_ENUM_FRAMEINTERVALS = _request(3, 75, FrmIvalEnum)


def fourcc_code(text: str) -> int:
    """The kernel's number of a pixel format, as of `YUYV`."""
    return int.from_bytes(text.encode("ascii").ljust(4), "little")


def fourcc_text(code: int) -> str:
    """The name of a pixel format; the top bit only tells big-endian variants."""
    text = (code & 0x7FFFFFFF).to_bytes(4, "little").decode("latin-1").rstrip()
    return text if text.isprintable() and text.isascii() else f"0x{code:08x}"
