"""`edge-detect models convert`: trained weights in, an INT8 model and its manifest out."""

import argparse
import sys
from pathlib import Path
from typing import Any, Self

from tqdm import tqdm

from edge_detect.core import ConfigError, SinkError
from edge_detect.models.checksum import sha256_of
from edge_detect.models.spec import ModelSpec
from edge_detect.tools.convert.build import convert_to_tflite, save_model
from edge_detect.tools.convert.darknet import convert_darknet, read_names
from edge_detect.tools.convert.float_model import FloatModel

__all__ = ["darknet", "ssd_frozen_graph", "tfjs"]


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


def _write(arguments: argparse.Namespace, model: FloatModel, manifest: dict[str, Any]) -> int:
    out = arguments.out / f"{arguments.name}.tflite"
    try:
        arguments.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SinkError(f"cannot create {arguments.out}: {error.strerror}") from error
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
