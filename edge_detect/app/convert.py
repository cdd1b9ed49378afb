"""`edge-detect models convert`: trained weights in, an INT8 model and its manifest out."""

import argparse
import re
import sys
from pathlib import Path
from typing import Any, Self

from tqdm import tqdm

from edge_detect.core import ConfigError, ModelError, SinkError
from edge_detect.models.catalogue import find_model
from edge_detect.models.checksum import sha256_of
from edge_detect.models.spec import ModelSpec
from edge_detect.tools.convert.build import convert_to_tflite, save_model
from edge_detect.tools.convert.darknet import convert_darknet, read_names
from edge_detect.tools.convert.float_model import FloatModel

__all__ = ["cut_postprocess", "darknet", "ssd_frozen_graph", "tfjs"]


def darknet(arguments: argparse.Namespace) -> int:
    """Convert a Darknet YOLO."""
    model, manifest = convert_darknet(
        arguments.cfg, arguments.weights, arguments.names, masks=_masks(arguments.mask)
    )
    return _write(arguments, model, manifest)


def ssd_frozen_graph(arguments: argparse.Namespace) -> int:
    """Convert an SSD of the TensorFlow 1 Object Detection API."""
    from edge_detect.tools.convert.ssd_graph import convert_ssd_frozen_graph

    model, manifest = convert_ssd_frozen_graph(arguments.graph, read_names(arguments.names))
    files = {path.name: sha256_of(path) for path in (arguments.graph, arguments.names)}
    return _write(arguments, model, {**manifest, "origin": {"files": files}})


def tfjs(arguments: argparse.Namespace) -> int:
    """Convert an SSD that was converted for TensorFlow.js."""
    from edge_detect.tools.convert.tfjs import convert_ssd_tfjs

    model, manifest = convert_ssd_tfjs(arguments.model, read_names(arguments.names))
    manifest["origin"]["files"][arguments.names.name] = sha256_of(arguments.names)
    return _write(arguments, model, manifest)


def cut_postprocess(arguments: argparse.Namespace) -> int:
    """Cut the post-processing off an SSD; nothing is quantized."""
    from edge_detect.tools.convert.cut_postprocess import cut_postprocess as cut
    from edge_detect.tools.convert.cut_postprocess import raw_manifest

    path, known = _find_file(arguments.file)
    out = arguments.out / f"{arguments.name or _name_of_raw(path)}.tflite"
    if out.resolve() == path.resolve():
        raise ConfigError(f"{out} is the file to be cut", "give the new one another --name")
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
    _make_folder(arguments.out)
    origin = known.origin.model_dump(exclude_defaults=True, exclude={"url"}) if known else {}
    given = {"licence": arguments.licence} if arguments.licence else {}
    manifest["origin"] = {
        "licence": "unstated",
        **origin,
        **given,
        "files": {path.name: sha256_of(path)},
        "command": _command(),
    }
    print(_outcome(save_model(out, head.content, manifest), out))
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
    if not entry.present:
        raise ModelError(
            f"the file of model {entry.name!r} is not here: {entry.path}",
            f"fetch it with: edge-detect models pull {entry.name}",
        )
    if entry.inferred is not None:
        print(f"{entry.title}: {entry.inferred.summary()}", file=sys.stderr)
    return entry.path, entry.spec


def _name_of_raw(path: Path) -> str:
    stem = re.sub(r"[^a-z0-9._-]+", "-", path.stem.lower()).strip("._-")
    return f"{re.sub(r'[._-]+postprocess$', '', stem) or 'ssd'}-raw"


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SinkError(f"cannot create {folder}: {error.strerror}") from error


def _write(arguments: argparse.Namespace, model: FloatModel, manifest: dict[str, Any]) -> int:
    out = arguments.out / f"{arguments.name}.tflite"
    _make_folder(arguments.out)
    origin = {
        **manifest.get("origin", {}),
        "licence": arguments.licence,
        "command": _command(),
    }
    float_out = arguments.out / f"{arguments.name}-float.tflite" if arguments.float else None
    with _Steps() as steps:
        spec = convert_to_tflite(
            model,
            {**manifest, "origin": origin},
            arguments.calibration,
            out,
            float_out=float_out,
            progress=steps.tell,
        )
    if getattr(arguments, "head", "raw") == "postprocess":
        spec = _put_postprocess_in(spec, arguments.graph, out)
    print(_outcome(spec, out))
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


class _Steps:
    """A progress bar for each step of a conversion, on a terminal."""

    def __init__(self) -> None:
        self._bar: tqdm[Any] | None = None
        self._step = ""

    def tell(self, step: str, done: int, total: int) -> None:
        """Show that `done` of `total` parts of a step are finished."""
        if self._bar is None or step != self._step:
            self._close()
            self._step = step
            self._bar = tqdm(desc=step, total=total, disable=None, leave=False)
        self._bar.update(done - self._bar.n)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()


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


def _command() -> str:
    """The command as others could give it: file names without this machine's folders."""
    words = [Path(word).name if "/" in word else word for word in sys.argv[1:]]
    return " ".join(["edge-detect", *words])


def _outcome(spec: ModelSpec, out: Path) -> str:
    return (
        f"{out}  {spec.input.frame_size}, {len(spec.labels)} classes\n{out.with_suffix('.toml')}\n"
        f"try it: edge-detect detect PHOTO --model {out}"
    )
