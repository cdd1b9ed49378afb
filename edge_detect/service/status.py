"""The daemon in one line, for `systemctl status`."""

from collections.abc import Sequence

from edge_detect.core.board import BoardReading
from edge_detect.service.companion import CameraView

__all__ = ["status_line"]


def status_line(
    cameras: Sequence[CameraView],
    board: BoardReading,
    troubles: Sequence[str],
    remarks: Sequence[str],
) -> str:
    """Say how everything is doing.

    Args:
        cameras: All cameras.
        board: The newest reading of the computer.
        troubles: What is wrong; said first.
        remarks: What else should be known; said next.
    """
    parts = [f"no progress: {', '.join(troubles)}"] if troubles else []
    parts += remarks
    parts += [_camera(camera) for camera in cameras]
    if board.temperature_c is not None:
        parts.append(f"{board.temperature_c:.0f} °C")
    flags = board.throttling
    if flags is not None and flags.under_voltage:
        parts.append("under-voltage")
    if flags is not None and (flags.throttled or flags.soft_temperature_limit):
        parts.append("throttled")
    return "; ".join(parts)


def _camera(camera: CameraView) -> str:
    state = camera.state()
    if state.phase != "running" or state.status is None:
        reason = f" ({state.reason})" if state.reason else ""
        return f"{camera.name} {state.phase}{reason}"
    status = state.status
    if status.source.state not in ("live", "ended"):
        reason = f" ({status.source.reason})" if status.source.reason else ""
        return f"{camera.name} {status.source.state} for {status.source.for_s:.0f} s{reason}"
    if not state.enabled:
        return f"{camera.name} detection off"
    latency = status.durations_ms["capture_to_detect"].p50
    return f"{camera.name} {status.rates['detected']:.1f} fps {latency:.0f} ms"
