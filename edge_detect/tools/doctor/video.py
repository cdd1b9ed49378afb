"""Cameras, encoders and the RTSP server."""

from collections.abc import Iterator

from edge_detect.tools.doctor.finding import Finding, fail, ok, warn
from edge_detect.tools.doctor.place import Place
from edge_detect.tools.doctor.probe import ProbeError, ask

__all__ = ["look_at_cameras", "look_at_encoders", "look_at_gstreamer"]

_PROBE_S = 20.0
_MOST_CHARACTERS = 90
# Board names of which have an H.264 encoder in hardware.
_WITH_ENCODER = ("Raspberry Pi 4", "Raspberry Pi Compute Module 4", "Raspberry Pi 400")


def look_at_cameras(place: Place) -> Iterator[Finding]:
    """V4L2 and CSI cameras; a network camera is no matter of this computer."""
    findings = [*_usb(place), *_csi(place)]
    yield from findings
    if not any(finding.what.startswith("camera") for finding in findings):
        yield warn(
            "cameras",
            "none on USB or CSI",
            "plug one in, or use a network camera: edge-detect run rtsp://…",
        )


def look_at_gstreamer(place: Place) -> Iterator[Finding]:
    """Whether the RTSP server can work."""
    try:
        found = ask(place, "gstreamer", timeout_s=_PROBE_S)
    except ProbeError as error:
        yield fail("RTSP server", error.message, error.hint)
    else:
        yield ok("RTSP server", f"{found['version']}, all elements")


def look_at_encoders(place: Place) -> Iterator[Finding]:
    """Which H.264 encoders really encode."""
    found = ask(place, "encoders", timeout_s=_PROBE_S)
    software, hardware = found["libx264"], found["h264_v4l2m2m"]
    if isinstance(hardware, float):
        yield ok("encoder", f"h264_v4l2m2m (hardware), {hardware:.1f} ms for 640x360")
    elif place.board.startswith(_WITH_ENCODER):
        yield warn(
            "encoder",
            f"the hardware's does not work: {hardware}",
            "in use by another program, or no memory left for it (CMA, below)",
        )
    if isinstance(software, float):
        yield ok("encoder", f"libx264, {software:.1f} ms for 640x360")
    else:
        report = warn if isinstance(hardware, float) else fail
        yield report("encoder", f"libx264: {software}", "pip install --force-reinstall av")


def _usb(place: Place) -> Iterator[Finding]:
    for camera in ask(place, "cameras", str(place.devices), timeout_s=_PROBE_S)["cameras"]:
        what = f"camera {camera['device']}"
        if "error" in camera:
            yield warn(what, camera["error"], camera["hint"])
        elif "modes" in camera:
            yield ok(what, f"{camera['card']}: {_short(camera['modes'])}")


def _csi(place: Place) -> Iterator[Finding]:
    try:
        found = ask(place, "csi", timeout_s=_PROBE_S)
    except ProbeError as error:
        absent = "not installed" in error.message and "needs picamera2" in error.message
        if absent and not place.is_raspberry_pi:
            yield ok("picamera2", "not installed, only a Raspberry Pi's CSI cameras need it")
        else:
            yield warn("picamera2", error.message, error.hint)
        return
    yield ok("picamera2", f"{found['version']}, seen from here")
    for number, model in enumerate(found["cameras"]):
        yield ok(f"camera picamera2://{number}", model)


def _short(modes: str) -> str:
    if len(modes) <= _MOST_CHARACTERS:
        return modes or "tells no modes"
    return f"{modes[:_MOST_CHARACTERS].rsplit(' ', 1)[0]} …"
