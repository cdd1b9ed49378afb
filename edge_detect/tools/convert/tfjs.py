"""Turn an SSD of the Object Detection API, as TensorFlow.js has it, into a float model."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_detect.core import ModelError
from edge_detect.models.checksum import sha256_of
from edge_detect.tools.convert.float_model import FloatModel
from edge_detect.tools.convert.ssd_graph import convert_ssd_graph, to_centres
from edge_detect.tools.convert.tfjs_graph import graph_from_tfjs
from edge_detect.tools.convert.tfjs_weights import (
    MODEL_FILE,
    read_model_json,
    read_weights,
    weight_files,
)

__all__ = ["convert_ssd_tfjs", "is_ssd", "model_files", "read_tfjs_graph"]

# The anchors of the API's graph, in corner form, which constant folding leaves.
_ANCHORS = "Postprocessor/ExpandDims"


def convert_ssd_tfjs(path: Path, labels: list[str]) -> tuple[FloatModel, dict[str, Any]]:
    """Make a float network with outputs `boxes` and `scores` from a TensorFlow.js graph model.

    Args:
        path: `model.json`, or the folder with it; the weight files lie beside it.
        labels: By class id, without the background; `n/a` for an id that means nothing.

    Returns:
        The network, and the parts of its manifest that follow from the graph, with the
        checksums of all files.

    Raises:
        DependencyError: TensorFlow is missing.
        ModelError: A file is missing or malformed, the graph is no SSD of the API, or its
            anchors or classes do not fit.
    """
    graph, weights = read_tfjs_graph(path)
    anchors = weights.get(_ANCHORS)
    if anchors is None or anchors.shape[-1:] != (4,):
        raise ModelError(
            f"{path} has no anchors in {_ANCHORS}",
            "only SSD graphs of the TensorFlow 1 Object Detection API can be converted",
        )
    centres = to_centres(anchors.reshape(-1, 4))
    model, manifest = convert_ssd_graph(graph, str(path), labels, lambda: centres)
    manifest["origin"] = {"files": {file.name: sha256_of(file) for file in model_files(path)}}
    return model, manifest


def is_ssd(path: Path) -> bool:
    """Whether a graph model is an SSD of the Object Detection API.

    Args:
        path: `model.json`, or the folder with it.

    Raises:
        ModelError: The file is missing or malformed.
    """
    topology = read_model_json(path).get("modelTopology")
    nodes = topology.get("node", []) if isinstance(topology, dict) else []
    return any(isinstance(node, dict) and node.get("name") == _ANCHORS for node in nodes)


def read_tfjs_graph(path: Path) -> tuple[Any, dict[str, NDArray[Any]]]:
    """Read a graph model.

    Args:
        path: `model.json`, or the folder with it.

    Returns:
        A GraphDef with the values of its constants, and these values by name.

    Raises:
        DependencyError: TensorFlow is missing.
        ModelError: A file is missing or malformed.
    """
    model = read_model_json(path)
    weights = read_weights(model, _folder(path))
    finite = all(np.isfinite(one).all() for one in weights.values() if one.dtype.kind == "f")
    if not finite:
        raise ModelError(f"{path} has weights that are no numbers (NaN or infinite)")
    return graph_from_tfjs(model["modelTopology"], weights), weights


def _folder(path: Path) -> Path:
    return path if path.is_dir() else path.parent


def model_files(path: Path) -> list[Path]:
    """All files of a graph model.

    Args:
        path: `model.json`, or the folder with it.

    Raises:
        ModelError: The first of them is malformed.
    """
    groups = weight_files(read_model_json(path), _folder(path))
    file = path / MODEL_FILE if path.is_dir() else path
    return [file, *(file for group in groups for file in group)]
