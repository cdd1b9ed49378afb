"""What two parts of a configuration cannot both have: ports, paths, directories, devices."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

from edge_detect.core import EdgeDetectError
from edge_detect.core.url import Url, parse_url
from edge_detect.models.accelerator import Accelerator, parse_accelerator
from edge_detect.models.options import LoadOptions, split_options
from edge_detect.service.config.endpoint import Endpoint
from edge_detect.service.config.places import KeyPath, show_path
from edge_detect.service.config.problems import Problem
from edge_detect.service.config.settings import DetectorSettings, Settings

__all__ = ["effective_accelerator", "find_clashes"]

_LOOPBACK = "127.0.0.1"
_PORTS = {"rtsp": 8554, "http": 8080, "rtsp-push": 554}


@dataclass(slots=True, frozen=True)
class _Claim:
    """One thing that a key takes for itself.

    Attributes:
        path: The key.
        kind: What takes it.
        name: Of what is taken, where that alone tells; else empty.
        endpoint: Where it listens, if it does.
    """

    path: KeyPath
    kind: str
    name: str = ""
    endpoint: Endpoint | None = None

    def clashes(self, other: "_Claim") -> bool:
        mine, theirs = self.endpoint, other.endpoint
        if mine is None or theirs is None:
            return (mine, self.kind, self.name) == (theirs, other.kind, other.name)
        # Streams with different paths share one server, if they want it at the same address.
        if self.kind == other.kind == "rtsp" and mine == theirs:
            return self.name == other.name
        return mine.clashes(theirs)


def effective_accelerator(detector: DetectorSettings) -> Accelerator:
    """What a model is to run on, wherever that is said; `auto` where nobody says."""
    chosen = parse_accelerator(detector.accelerator)
    if chosen.kind != "auto":
        return chosen
    try:
        _, options = split_options(detector.model, LoadOptions())
    except EdgeDetectError:
        return chosen
    return options.accelerator or chosen


def find_clashes(settings: Settings) -> Iterator[Problem]:
    """Each second claim to something; what is no valid URL claims nothing."""
    yield from _find_shared_edge_tpus(settings)
    complained = set()
    for one, other in combinations(_claims(settings), 2):
        if one.clashes(other) and other.path not in complained:
            complained.add(other.path)
            yield Problem(other.path, f"{_what(one, other)} is taken by {show_path(one.path)}")


def _find_shared_edge_tpus(settings: Settings) -> Iterator[Problem]:
    """Each second model that is for the same Edge TPU alone: that runs one at a time."""
    wanted: dict[DetectorSettings, KeyPath] = {}
    for name, camera in settings.cameras.items():
        shared = settings.detectors.get(camera.detector)
        if shared is not None:
            wanted.setdefault(shared, ("detectors", camera.detector))
        elif camera.model:
            wanted.setdefault(DetectorSettings(model=camera.model), ("cameras", name, "model"))
    for (one, first), (other, second) in combinations(wanted.items(), 2):
        mine, theirs = effective_accelerator(one), effective_accelerator(other)
        if mine.kind == theirs.kind == "edgetpu" and _may_be_one(mine, theirs):
            yield Problem(
                second,
                f"{show_path(first)} wants the same Edge TPU, which runs one model at a time",
                "let cameras share one of [detectors.NAME], or name different ones: edgetpu:0, "
                "edgetpu:1",
            )


def _may_be_one(one: Accelerator, other: Accelerator) -> bool:
    if one.bus and other.bus and one.bus != other.bus:
        return False
    numbered = one.number is not None and other.number is not None
    return not (numbered and one.bus == other.bus and one.number != other.number)


def _what(one: _Claim, other: _Claim) -> str:
    if other.endpoint is None:
        return f"{other.kind} {other.name}"
    port = f"port {other.endpoint.port}"
    same = one.kind == other.kind == "rtsp" and one.endpoint == other.endpoint
    return f"path {other.name} of {port}" if same else port


def _claims(settings: Settings) -> list[_Claim]:
    claims = []
    if settings.metrics is not None:
        endpoint = Endpoint.parse(settings.metrics.listen)
        claims.append(_Claim(("metrics", "listen"), "metrics", endpoint=endpoint))
    if settings.web is not None:
        endpoint = Endpoint.parse(settings.web.listen)
        claims.append(_Claim(("web", "listen"), "page", endpoint=endpoint))
    for name, camera in settings.cameras.items():
        path = ("cameras", name)
        claims += _source_claim(camera.source, (*path, "source"))
        for index, sink in enumerate(camera.sinks):
            claims += _sink_claim(sink, (*path, "sinks", index))
    return claims


def _source_claim(text: str, path: KeyPath) -> list[_Claim]:
    url = parse_url(text)
    if url.scheme == "v4l2" or text.startswith("/dev/video"):
        return [_Claim(path, "device", os.path.realpath(url.location.replace("\0", "")))]
    if url.scheme == "picamera2":
        return [_Claim(path, "CSI camera", url.location.strip("/") or "0")]
    return []


def _sink_claim(text: str, path: KeyPath) -> list[_Claim]:
    url = parse_url(text)
    if url.scheme in _PORTS:
        try:
            return [_network_claim(url, path)]
        except (EdgeDetectError, ValueError):
            # Reported where the sink itself is checked.
            return []
    if url.scheme in ("", "file", "jsonl", "mp4") and url.location not in ("", "-"):
        kind = "directory" if url.scheme == "mp4" else "file"
        return [_Claim(path, kind, os.path.realpath(url.location.replace("\0", "")))]
    return []


def _network_claim(url: Url, path: KeyPath) -> _Claim:
    _, _, host, port, place = url.authority(_PORTS[url.scheme])
    if url.scheme == "rtsp-push":
        return _Claim(path, "stream", f"{host}:{port}{place}")
    endpoint = Endpoint(host or _LOOPBACK, port)
    return _Claim(path, url.scheme, place or "/live", endpoint)
