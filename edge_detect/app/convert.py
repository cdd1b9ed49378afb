"""`edge-detect models convert`: trained weights in, an INT8 model and its manifest out."""

import argparse
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from edge_detect.app.conversion import (
    Steps,
    Targets,
    check_targets,
    command_words,
    make_folder,
    origin_of,
    outcome,
    temporary_files,
)
from edge_detect.core import ConfigError, ModelError
from edge_detect.models.catalogue import find_model
from edge_detect.models.checksum import sha256_of
from edge_detect.models.names import name_from, name_from_content
from edge_detect.models.spec import ModelSpec
from edge_detect.tools.convert.build import convert_to_tflite
from edge_detect.tools.convert.calibration import check_calibration
from edge_detect.tools.convert.darknet import convert_darknet, read_names
from edge_detect.tools.convert.float_model import FloatModel
from edge_detect.tools.convert.save import save_model

__all__ = ["cut_postprocess", "darknet", "ssd_frozen_graph", "tfjs_ssd"]


def darknet(arguments: argparse.Namespace) -> int:
    """Convert a Darknet YOLO."""
    files = (arguments.cfg, arguments.weights, arguments.names)
    targets = _prepare(arguments, arguments.name, files)
    model, manifest = convert_darknet(
        arguments.cfg, arguments.weights, arguments.names, masks=_masks(arguments.mask)
    )
    return _write(arguments, targets, model, manifest)


def ssd_frozen_graph(arguments: argparse.Namespace) -> int:
    """Convert an SSD of the TensorFlow 1 Object Detection API."""
    from edge_detect.tools.convert.ssd_graph import convert_ssd_frozen_graph

    files = (arguments.graph, arguments.names)
    targets = _prepare(arguments, arguments.name, files)
    model, manifest = convert_ssd_frozen_graph(arguments.graph, read_names(arguments.names))
    sums = {path.name: sha256_of(path) for path in files}
    return _write(arguments, targets, model, {**manifest, "origin": {"files": sums}})


def tfjs_ssd(arguments: argparse.Namespace, path: Path, name: str, labels: Path) -> int:
    """Convert an SSD of the Object Detection API that was converted for TensorFlow.js.

    Args:
        arguments: Of the command.
        path: `model.json`, or the folder with it.
        name: Of the new model.
        labels: One a line.
    """
    from edge_detect.tools.convert.tfjs import convert_ssd_tfjs

    targets = _prepare(arguments, name, (path, labels))
    model, manifest = convert_ssd_tfjs(path, read_names(labels))
    manifest["origin"]["files"][labels.name] = sha256_of(labels)
    return _write(arguments, targets, model, manifest)


def _prepare(arguments: argparse.Namespace, name: str, files: Iterable[Path]) -> Targets:
    """Refuse what would only fail at the end: pictures, names and folders."""
    check_calibration(arguments.calibration)
    return check_targets(arguments, name, files)


def cut_postprocess(arguments: argparse.Namespace) -> int:
    """Cut the post-processing off an SSD; nothing is quantized."""
    from edge_detect.tools.convert.cut_postprocess import cut_postprocess as cut
    from edge_detect.tools.convert.cut_postprocess import raw_manifest

    path, known = _find_file(arguments.file)
    name = _name_of_raw(path) if arguments.name is None else arguments.name
    out = check_targets(arguments, name, (path, Path(arguments.file))).model
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ModelError(f"cannot read model {path}: {error.strerror}") from error
    try:
        head = cut(content)
    except ModelError as error:
        raise ModelError(f"{path}: {error.message}", error.hint) from error
    labels = read_names(arguments.labels) if arguments.labels else None
    if labels is None and known is None:
        labels = [f"class {number}" for number in range(head.classes)]
        print(
            f"{path.name} has no manifest: its classes get numbers (give --labels FILE), and its "
            "input is taken to be R, G, B",
            file=sys.stderr,
        )
    manifest = raw_manifest(head, known, labels)
    make_folder(arguments.out)
    manifest["origin"] = origin_of(arguments.licence, [path], *([known.origin] if known else []))
    print(outcome(save_model(out, head.content, manifest), out))
    return 0


def _find_file(file: str) -> tuple[Path, ModelSpec | None]:
    """A model file by path or name, and what is known of it."""
    path = Path(file)
    try:
        entry = find_model(file)
    except ModelError:
        if not path.is_file() or path.with_suffix(".toml").exists():
            raise
        return path, None
    entry.check_present()
    if entry.inferred is not None:
        print(f"{entry.title}: {entry.inferred.summary()}", file=sys.stderr)
    return entry.path, entry.spec


def _name_of_raw(path: Path) -> str:
    stem = name_from(path.stem) or name_from_content(path)
    return f"{re.sub(r'[._-]+postprocess$', '', stem)}-raw"


def _write(
    arguments: argparse.Namespace, targets: Targets, model: FloatModel, manifest: dict[str, Any]
) -> int:
    out = targets.model
    make_folder(arguments.out)
    origin = {
        **manifest.get("origin", {}),
        "licence": arguments.licence or "unstated",
        "command": command_words(),
    }
    with Steps() as steps, temporary_files():
        spec = convert_to_tflite(
            model,
            {**manifest, "origin": origin},
            arguments.calibration,
            out,
            float_out=targets.float_twin,
            progress=steps.tell,
        )
    if getattr(arguments, "head", "raw") == "postprocess":
        spec = _put_postprocess_in(spec, arguments.graph, out)
    print(outcome(spec, out))
    return 0


def _put_postprocess_in(raw: ModelSpec, graph: Path, out: Path) -> ModelSpec:
    """Turn the raw model just written into one that suppresses inside the graph."""
    from edge_detect.tools.convert.postprocess import add_postprocess, postprocess_manifest
    from edge_detect.tools.convert.ssd_graph import read_anchors

    if raw.ssd is None or raw.ssd.background != "none" or raw.ssd.scores != "sigmoid":
        raise ConfigError(
            "only SSDs with sigmoid scores can have post-processing in the graph",
            "leave out --head postprocess",
        )
    content = add_postprocess(
        out.read_bytes(),
        read_anchors(graph),
        classes=len(raw.labels),
        box_scales=raw.ssd.box_scales,
        iou=raw.nms.iou_threshold,
    )
    manifest = raw.model_dump(
        mode="json", exclude_none=True, exclude={"name", "description", "file", "sha256"}
    )
    return save_model(out, content, postprocess_manifest(manifest))


def _masks(options: list[str]) -> dict[int, tuple[int, ...]]:
    masks = {}
    for option in options:
        head, separator, indices = option.partition("=")
        try:
            masks[int(head)] = tuple(int(index) for index in indices.split(","))
        except ValueError as error:
            raise ConfigError(
                f"--mask {option!r} is not HEAD=A,B,C", "for example --mask 1=1,2,3"
            ) from error
        if not separator:
            raise ConfigError(f"--mask {option!r} has no '='", "for example --mask 1=1,2,3")
    return masks
