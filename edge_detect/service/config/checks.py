"""What has to be right in a configuration beyond the types of its values."""

import os
from collections.abc import Collection, Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path

from edge_detect.core import EdgeDetectError, ModelError
from edge_detect.core.url import parse_url
from edge_detect.models import CatalogueEntry, model_names
from edge_detect.models.options import LoadOptions, find_with_options
from edge_detect.service.config.claims import effective_accelerator, find_clashes
from edge_detect.service.config.places import KeyPath
from edge_detect.service.config.problems import Problem
from edge_detect.service.config.settings import (
    CameraSettings,
    DetectorSettings,
    Settings,
    ZoneSettings,
)
from edge_detect.sinks import open_sink
from edge_detect.sources import check_source

__all__ = ["find_oddities", "find_problems"]

_WITH_LOGIN = ("http", "https", "rtsp", "rtsps")
_UNPRINTABLE = "has a character that cannot stand in a name"
_SOURCES = "cameras are camera://, v4l2:///dev/video0, picamera2://0 or rtsp://HOST/PATH"
_EXAMPLE = "ssdlite-mobilenet-v2-coco"


def find_problems(settings: Settings, detectors: Collection[str]) -> Iterator[Problem]:
    """Everything that would keep a configuration from working; opens no device and no port.

    Args:
        settings: All of it.
        detectors: The names of all detectors, also of such as have errors of their own.
    """
    models = _Models()
    for name, detector in settings.detectors.items():
        yield from models.check(detector.model, ("detectors", name, "model"))
        yield from models.check_accelerator(detector, ("detectors", name))
        yield from _check_cores(detector.cores, ("detectors", name, "cores"))
    for name, camera in settings.cameras.items():
        path = ("cameras", name)
        yield from _check_source(camera, path)
        yield from _check_names(camera, path)
        yield from _check_choice(camera, path, detectors)
        if camera.model:
            yield from models.check(camera.model, (*path, "model"))
            shown = DetectorSettings(model=camera.model)
            yield from models.check_accelerator(shown, (*path, "model"))
        shared = settings.detectors.get(camera.detector)
        labels = models.labels(camera.model or (shared.model if shared else ""))
        if labels:
            yield from _check_classes(camera, path, labels)
        for index, url in enumerate(camera.sinks):
            yield from _check_sink(url, (*path, "sinks", index))
    yield from find_clashes(settings)
    yield from _check_files(settings)


def find_oddities(settings: Settings) -> Iterator[Problem]:
    """What works, but is hardly meant."""
    used = {camera.detector for camera in settings.cameras.values()}
    for name in settings.detectors:
        if name not in used:
            yield Problem(("detectors", name), "no camera uses it")


def _did_you_mean(name: str, known: Collection[str]) -> str:
    """The nearest name, as the begin of a hint; empty where none is near."""
    close = get_close_matches(name, known, n=1)
    return f"did you mean {close[0]!r}? " if close else ""


class _Models:
    """Looks models up, each once."""

    def __init__(self) -> None:
        self._known: dict[str, CatalogueEntry | EdgeDetectError] = {}

    def labels(self, model: str) -> Sequence[str]:
        """What it can find; empty where that is not known."""
        found = self._find(model) if model else None
        return found.spec.labels if isinstance(found, CatalogueEntry) else ()

    def check(self, model: str, path: KeyPath) -> Iterator[Problem]:
        found = self._find(model)
        if isinstance(found, ModelError) and not _is_path(model):
            guess = _did_you_mean(model, model_names())
            hint = f"{guess}`edge-detect models list` shows all; the path of a .tflite works too"
            yield Problem(path, found.message, hint)
        elif isinstance(found, EdgeDetectError):
            yield Problem(path, found.message, found.hint)
        elif not found.present:
            pull = f"fetch it with: edge-detect models pull {found.name}"
            hint = pull if found.spec.origin.url else f"put it beside {found.manifest}"
            yield Problem(path, f"the file of this model is not here: {found.path}", hint)

    def check_accelerator(self, detector: DetectorSettings, path: KeyPath) -> Iterator[Problem]:
        """Whether a model that is for an Edge TPU alone has a twin for it."""
        found = self._find(detector.model)
        if isinstance(found, EdgeDetectError):
            return
        if effective_accelerator(detector).kind == "edgetpu" and not (
            found.spec.edgetpu or found.spec.cpu_twin
        ):
            hint = "see 'Models for it' in docs/accelerators.md, or let it run on the CPU"
            yield Problem(path, f"{found.name} is not compiled for an Edge TPU", hint)

    def _find(self, model: str) -> CatalogueEntry | EdgeDetectError:
        if model not in self._known:
            try:
                self._known[model] = find_with_options(model, LoadOptions())[0]
            except EdgeDetectError as error:
                self._known[model] = error
        return self._known[model]


def _check_cores(cores: Sequence[int], path: KeyPath) -> Iterator[Problem]:
    usable = os.sched_getaffinity(0)
    if not set(cores) <= usable:
        there = ", ".join(map(str, sorted(usable)))
        yield Problem(
            path, f"must be cores that are there, got {list(cores)}", f"use some of {there}"
        )


def _check_source(camera: CameraSettings, path: KeyPath) -> Iterator[Problem]:
    if not camera.source.strip():
        # It would be the path of the working directory.
        yield Problem((*path, "source"), "is empty", _SOURCES)
        return
    if _is_unprintable(camera.source):
        yield Problem((*path, "source"), _UNPRINTABLE)
        return
    try:
        scheme = check_source(camera.source)
    except EdgeDetectError as error:
        yield Problem((*path, "source"), error.message, error.hint)
        return
    if scheme == "file" and not parse_url(camera.source).scheme and not _exists(camera.source):
        yield Problem(
            (*path, "source"),
            "is neither a URL nor a file that exists",
            _SOURCES,
        )
    if camera.source_user and scheme not in _WITH_LOGIN:
        yield Problem(
            (*path, "source_user"),
            f"means nothing for {scheme}",
            "only network cameras have a login",
        )
    elif camera.source_user and "@" in camera.source.partition("?")[0]:
        yield Problem(
            (*path, "source_user"),
            "stands beside a login in the source's URL",
            "leave one of them out",
        )


def _check_names(camera: CameraSettings, path: KeyPath) -> Iterator[Problem]:
    for kind, zones in (("zones", camera.zones), ("masks", camera.masks)):
        seen: dict[str, str] = {}
        for name in zones:
            first = seen.setdefault(name.lower(), name)
            if first != name:
                yield Problem(
                    (*path, kind, name), f"differs from {first!r} only in upper and lower case"
                )


def _check_choice(
    camera: CameraSettings, path: KeyPath, detectors: Collection[str]
) -> Iterator[Problem]:
    """A model of its own, or a shared detector."""
    if camera.model and camera.detector:
        yield Problem((*path, "detector"), "stands beside 'model'", "give one of the two")
    elif not camera.model and not camera.detector:
        yield Problem(
            path,
            "has neither 'model' nor 'detector'",
            f'add model = "{_EXAMPLE}", or another one of `edge-detect models list`',
        )
    if camera.detector and camera.detector not in detectors:
        known = f"there are {', '.join(sorted(detectors))}" if detectors else "add it"
        hint = _did_you_mean(camera.detector, detectors).strip() or known
        yield Problem((*path, "detector"), f"there is no [detectors.{camera.detector}]", hint)


def _check_classes(
    camera: CameraSettings, path: KeyPath, labels: Sequence[str]
) -> Iterator[Problem]:
    named: list[tuple[KeyPath, str]] = [
        ((*path, "classes", index), label) for index, label in enumerate(camera.classes)
    ]
    zones: list[tuple[str, dict[str, ZoneSettings]]] = [
        ("zones", camera.zones),
        ("masks", camera.masks),
    ]
    for kind, parts in zones:
        for name, zone in parts.items():
            here = (*path, kind, name, "classes")
            named += [((*here, index), label) for index, label in enumerate(zone.classes)]
    named += [((*path, "sizes", label), label) for label in camera.sizes if label != "*"]
    for index, sink in enumerate(camera.sinks):
        named += [((*path, "sinks", index), label) for label in _event_classes(sink)]
    known = [label for label in labels if label != "n/a"]
    for where, label in named:
        if label not in known:
            several = f"it knows {', '.join(known[:8])}{' …' if len(known) > 8 else ''}"
            hint = _did_you_mean(label, known) + several
            yield Problem(where, f"the model does not know the class {label!r}", hint)


def _event_classes(sink: str) -> list[str]:
    """The classes that a recorder waits for."""
    url = parse_url(sink)
    events = url.options.get("events", "") if url.scheme == "mp4" else ""
    return [label.strip() for label in events.split(",") if label.strip() not in ("", "*")]


def _check_sink(url: str, path: KeyPath) -> Iterator[Problem]:
    if _is_unprintable(url):
        yield Problem(path, _UNPRINTABLE)
        return
    try:
        open_sink(url)
    except EdgeDetectError as error:
        yield Problem(path, error.message, error.hint)


def _is_unprintable(url: str) -> bool:
    """Whether a device, file or server has a name that the system would not take."""
    return "\0" in url or "\0" in parse_url(url).location


def _check_files(settings: Settings) -> Iterator[Problem]:
    mqtt = settings.mqtt
    if mqtt is None:
        return
    for key in ("tls_ca", "tls_cert", "tls_key"):
        file = getattr(mqtt, key)
        if file and not mqtt.tls:
            yield Problem(("mqtt", key), "means nothing without tls = true", "add tls = true")
        elif file and not _exists(file):
            yield Problem(("mqtt", key), f"there is no file {file!r}")
    if mqtt.password.get_secret_value() and not mqtt.user:
        yield Problem(("mqtt", "password"), "means nothing without a user", "add user")


def _is_path(model: str) -> bool:
    return "/" in model or Path(model).suffix in (".tflite", ".toml")


def _exists(file: str) -> bool:
    try:
        return Path(file).exists()
    except (OSError, ValueError):
        return False
