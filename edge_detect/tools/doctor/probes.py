"""What is asked in processes of their own about libraries and devices."""

import os
import time
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

import numpy as np

from edge_detect.core import DependencyError, Frame, Picture, SinkError, Size

__all__ = [
    "LIBRARIES",
    "cameras",
    "csi",
    "edge_tpu",
    "encoders",
    "gstreamer",
    "kernels",
    "libraries",
]

LIBRARIES = {"numpy": "numpy", "OpenCV": "cv2", "PyAV": "av", "numba": "numba"}
_PICTURES = 9


def libraries(*names: str) -> dict[str, Any]:
    """Versions of what is imported in any case."""
    found = {}
    for name in names or LIBRARIES:
        try:
            found[name] = str(import_module(LIBRARIES[name]).__version__)
        except (ImportError, OSError, SystemError) as error:
            raise DependencyError(
                f"{name} cannot be imported: {error}", "pip install --force-reinstall edge-detect"
            ) from error
    return found


def kernels() -> dict[str, Any]:
    """Which kernels are compiled, and whether a compiled one could be kept."""
    from edge_detect.kernels import uncompiled
    from edge_detect.kernels.cache import cache_directories

    folders = cache_directories()
    writable = [str(folder) for folder in folders if _can_write(folder)]
    return {"cold": uncompiled(), "writable": writable[:1], "folders": [str(f) for f in folders]}


def gstreamer() -> dict[str, Any]:
    """Whether the RTSP server can work, and its version."""
    from edge_detect.sinks.rtsp.system import load_rtsp_libraries

    return {"version": load_rtsp_libraries().Gst.version_string()}


def encoders() -> dict[str, Any]:
    """Milliseconds per picture for each H.264 encoder, or why it does not work."""
    return {name: _encode(name) for name in ("libx264", "h264_v4l2m2m")}


def cameras(devices: str) -> dict[str, Any]:
    """All V4L2 devices that are cameras, with their modes in one line each."""
    from edge_detect.sources.camera import query_capability
    from edge_detect.sources.v4l2.calls import list_modes
    from edge_detect.sources.v4l2.errors import explain
    from edge_detect.sources.v4l2.modes import describe

    found: list[dict[str, Any]] = []
    for node in sorted(Path(devices).glob("video*"), key=lambda path: (len(path.name), path.name)):
        device = str(node)
        try:
            fd = os.open(device, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            reason = explain(device, error)
            found.append({"device": device, "error": reason.message, "hint": reason.hint})
            continue
        try:
            capability = query_capability(fd)
            if capability.is_camera:
                modes = describe(list_modes(fd, Size(1280, 720)))
                found.append({"device": device, "card": capability.card, "modes": modes})
        except OSError as error:
            # Codecs, image processors and other devices with such a name are no cameras.
            found.append({"device": device, "none": str(error.strerror)})
        finally:
            os.close(fd)
    return {"cameras": found}


def csi() -> dict[str, Any]:
    """The cameras on the CSI connectors, as libcamera names them."""
    from edge_detect.sources.csi.cameras import list_cameras, load_library

    listed = list_cameras(load_library())
    models = [str(each.get("Model", "?")) for each in listed if "/usb" not in each.get("Id", "")]
    return {"cameras": models, "version": metadata.version("picamera2")}


def edge_tpu(library: str) -> dict[str, Any]:
    """What libedgetpu says of itself, and what it can see."""
    from edge_detect.tools.devices.edge_tpus import hear_library

    return hear_library(library).as_json()


def _encode(name: str) -> str | float:
    """Encode a few pictures; the time for one, or why it cannot be."""
    from edge_detect.sinks.encoder import Encoder, EncoderSettings

    encoder = Encoder(EncoderSettings(name), 30.0)
    taken: list[int] = []
    encoder.subscribe(lambda encoded: taken.append(len(encoded.data)))
    times_ms = []
    # Hardware keeps some pictures to itself before the first one comes out; the first one
    # also opens the encoder.
    for number in range(_PICTURES):
        started = time.perf_counter()
        image = np.full((360, 640, 3), 20 * number, np.uint8)
        frame = Frame(image, 1 + number * 33_000_000, number, "doctor", 0)
        try:
            encoder.write(Picture(frame, image, None))
        except SinkError as error:
            return error.message
        times_ms.append((time.perf_counter() - started) * 1000)
    return sorted(times_ms)[_PICTURES // 2] if taken else "nothing came out of it"


def _can_write(folder: Path) -> bool:
    """Whether files can be made in a folder, or the folder itself."""
    while not os.path.exists(folder) and folder != folder.parent:  # noqa: PTH110 - never raises
        folder = folder.parent
    return os.access(folder, os.W_OK | os.X_OK)
