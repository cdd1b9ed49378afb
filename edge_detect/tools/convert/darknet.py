"""Turn a Darknet YOLO (cfg, weights, names) into a float model and its part of a manifest."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edge_detect.core import ModelError
from edge_detect.models.checksum import sha256_of
from edge_detect.tools.convert.darknet_cfg import read_cfg
from edge_detect.tools.convert.darknet_graph import Head, build_float_model, output_names
from edge_detect.tools.convert.darknet_layers import Network
from edge_detect.tools.convert.darknet_weights import read_weights
from edge_detect.tools.convert.float_model import FloatModel

__all__ = ["convert_darknet", "read_names"]

# The grey around a picture that Darknet letterboxes is 0.5.
_LETTERBOX_GREY = 128


def convert_darknet(
    cfg: Path,
    weights: Path,
    names: Path,
    *,
    masks: Mapping[int, tuple[int, ...]] | None = None,
    head: Head = "split",
) -> tuple[FloatModel, dict[str, Any]]:
    """Read a Darknet detector.

    Args:
        cfg: The network's description.
        weights: The trained values.
        names: The labels, one a line.
        masks: Corrections of a cfg that contradicts its weights: anchor indices by number
            of the head, from 0 in the order of the cfg. They are noted in the manifest.
        head: `split` into box, objectness and class outputs, or `joined` as in Darknet.

    Returns:
        The float model, and the manifest's family, head, labels, input, yolo and nms, and
        of its origin the files and the notes.

    Raises:
        ModelError: A file cannot be read or used, or they do not belong together.
        ConfigError: A correction is for a head that does not exist.
        DependencyError: TensorFlow is not installed.
    """
    network = read_cfg(cfg, masks)
    labels = read_names(names)
    for _, yolo in network.heads:
        if yolo.classes != len(labels):
            raise ModelError(
                f"{names.name} has {len(labels)} labels, the [{yolo.kind}] at line {yolo.line} "
                f"of {cfg.name} has {yolo.classes} classes",
                "give the names file that belongs to this cfg",
            )
    model = build_float_model(network, read_weights(weights, network), head)
    return model, {
        "family": "yolo",
        "head": "split" if head == "split" else "raw",
        "labels": labels,
        "input": {
            "size": list(network.input_size),
            "color": "rgb" if network.channels == 3 else "grey",
            "resize": "letterbox",
            "pad": _LETTERBOX_GREY,
        },
        "yolo": _yolo_section(network, head),
        "nms": {"iou_threshold": 0.45, "score_threshold": 0.25},
        "origin": {
            "files": {path.name: sha256_of(path) for path in (cfg, weights, names)},
            "notes": _notes(network, masks or {}),
        },
    }


def read_names(path: Path) -> list[str]:
    """Read labels, one a line; blank lines at the end are no labels.

    Raises:
        ModelError: The file cannot be read, or a label is empty.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").rstrip().splitlines()
    except OSError as error:
        raise ModelError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ModelError(
            f"{path} is not a UTF-8 text file: {error.reason} at byte {error.start}",
            f"if it is Latin-1: iconv -f latin1 -t utf-8 {path.name} > utf8.names",
        ) from error
    labels = [line.strip() for line in lines]
    if "" in labels:
        raise ModelError(f"{path.name}: line {labels.index('') + 1} is empty; a label is expected")
    return labels


def _yolo_section(network: Network, head: Head) -> dict[str, Any]:
    meanings = {(yolo.new_coords, yolo.softmax) for _, yolo in network.heads}
    if len(meanings) > 1:
        raise ModelError(
            f"{network.source} has heads of several kinds: [region], [yolo] with new_coords=1 or "
            "without",
            "all heads must code boxes alike",
        )
    new_coords, softmax = meanings.pop()
    return {
        "coding": "squared" if new_coords else "exponential",
        "activated": new_coords,
        "classes": "softmax" if softmax else "sigmoid",
        "heads": [
            {
                "stride": yolo.stride,
                "anchors": [list(anchor) for anchor in yolo.anchors],
                "scale_x_y": yolo.scale_x_y,
                "outputs": output_names(number, head),
            }
            for number, (_, yolo) in enumerate(network.heads)
        ],
    }


def _notes(network: Network, masks: Mapping[int, tuple[int, ...]]) -> list[str]:
    notes = []
    for number, mask in sorted(masks.items()):
        _, yolo = network.heads[number]
        words = " ".join(f"{width:g},{height:g}" for width, height in yolo.anchors)
        notes.append(
            f"corrected: the [{yolo.kind}] at line {yolo.line} of {network.source} (head {number}) "
            f"uses mask={','.join(map(str, mask))}, anchors {words}, instead of what the cfg says"
        )
    return notes
