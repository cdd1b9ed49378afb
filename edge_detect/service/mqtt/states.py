"""How cameras and the computer are doing, as what is published."""

import dataclasses
import json
from typing import Any

import edge_detect
from edge_detect.core import NS_PER_S, PipelineStatus, SourceStatus, monotonic_ns
from edge_detect.core.clock import Clock
from edge_detect.service.companion import CameraState, ServiceView
from edge_detect.service.mqtt.events import Change

__all__ = ["as_json", "camera_state", "event_payload", "is_live", "node_state"]


def as_json(content: dict[str, Any]) -> bytes:
    """In one line."""
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()


def is_live(state: CameraState) -> bool:
    """Whether the camera gives frames."""
    status = state.status
    return state.phase == "running" and status is not None and status.source.state == "live"


def camera_state(state: CameraState) -> dict[str, Any]:
    """One camera; rates are frames per second, times milliseconds."""
    status = state.status
    return {
        "time": _iso(monotonic_ns()),
        "phase": state.phase,
        "reason": state.reason,
        "restarts": state.restarts,
        "enabled": state.enabled,
        "threshold": _rounded(state.score_threshold, 4),
        "source": None if status is None else _source(status.source),
        "fps": _rates(status),
        "latency_ms": _latencies(status),
        "dropped": 0 if status is None else _too_late(status),
        "detections": 0 if status is None else status.detections,
        "viewers": 0 if status is None else sum(sink.viewers or 0 for sink in status.sinks),
        "model": None if status is None else status.model.name,
    }


def _source(source: SourceStatus) -> dict[str, Any]:
    return {
        "state": source.state,
        "reason": source.reason,
        "for_s": round(source.for_s, 1),
        "reconnects": source.reconnects,
        "size": list(source.size) if source.size else None,
        "fps": _rounded(source.fps, 2),
    }


def _too_late(status: PipelineStatus) -> int:
    """Frames that a stage was too slow for, and not those that were left out on purpose."""
    return sum(count for stage, count in status.dropped.items() if stage != "limit")


def _rates(status: PipelineStatus | None) -> dict[str, float]:
    rates = {"captured": 0.0, "detected": 0.0, "rendered": 0.0, "encoded": 0.0}
    if status is not None:
        rates.update(status.rates)
        rates["encoded"] = max((sink.encoded_fps for sink in status.sinks), default=0.0)
    return {name: round(rate, 2) for name, rate in rates.items()}


def _latencies(status: PipelineStatus | None) -> dict[str, dict[str, float | None]]:
    """Always all keys, so that templates find them; None where nothing was measured."""
    detect = encode = None
    if status is not None:
        detect = status.durations_ms.get("capture_to_detect")
        encode = max(
            (sink.capture_to_encode for sink in status.sinks),
            key=lambda figures: figures.n,
            default=None,
        )
    return {
        name: {
            "p50": round(figures.p50, 1) if figures and figures.n else None,
            "p95": round(figures.p95, 1) if figures and figures.n else None,
        }
        for name, figures in (("detect", detect), ("encode", encode))
    }


def node_state(service: ServiceView, events_lost: int) -> dict[str, Any]:
    """The computer and the daemon.

    Args:
        service: The daemon.
        events_lost: Messages that were thrown away while the broker was away.
    """
    board = service.board()
    flags = None if board.throttling is None else dataclasses.asdict(board.throttling)
    return {
        "time": _iso(monotonic_ns()),
        "version": edge_detect.__version__,
        "uptime_s": round((monotonic_ns() - service.started_ns) / NS_PER_S),
        "ready": service.ready,
        "troubles": service.troubles(),
        "reloads": service.reloads,
        "cameras": [camera.name for camera in service.cameras],
        "events_lost": events_lost,
        "temperature_c": _rounded(board.temperature_c, 1),
        "frequency_mhz": None if board.frequency_hz is None else board.frequency_hz // 1_000_000,
        "throttling": flags,
        # Of now alone: what was wrong since boot may have been mended.
        "power_problem": flags is not None
        and any(on for name, on in flags.items() if not name.endswith("_since_boot")),
        "cpu_share": _rounded(board.cpu_share, 2),
        "resident_mb": None
        if board.resident_bytes is None
        else round(board.resident_bytes / 1e6, 1),
    }


def event_payload(camera: str, identity: str, change: Change) -> bytes:
    """What is told of an object.

    Args:
        camera: Its name.
        identity: Of the object, the same in all that is told of it.
        change: What has happened.
    """
    ended = change.kind == "leave"
    return as_json(
        {
            "event_type": change.kind,
            "id": identity,
            "camera": camera,
            "class": change.newest.label,
            **({"mid": change.newest.mid} if change.newest.mid else {}),
            "zones": list(change.zones),
            "score": round(change.newest.score, 3),
            "best_score": round(change.score, 3),
            "box": [round(edge, 4) for edge in change.newest.box],
            "began": _iso(change.began_ns),
            "ended": _iso(change.seen_ns) if ended else None,
            "duration_s": round((change.seen_ns - change.began_ns) / NS_PER_S, 1),
            **({"reason": change.reason} if ended else {}),
        }
    )


def _iso(moment_ns: int) -> str:
    return Clock().local_time(moment_ns).isoformat(timespec="milliseconds")


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)
