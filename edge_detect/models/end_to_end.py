"""The decoder for models that put out boxes with one score and one class number each."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_detect.core import Detections, Letterbox, ModelError
from edge_detect.kernels import select as places
from edge_detect.kernels.decoded import collect_numbered
from edge_detect.kernels.registry import prepare
from edge_detect.models.arrangement import arrange, check_scores
from edge_detect.models.decoded import BOX_FORMS, box_factors
from edge_detect.models.sections.decoded import DecodedSpec
from edge_detect.models.selector import KINDS
from edge_detect.models.spec import ModelSpec
from edge_detect.models.tensors import TensorInfo, Thresholds
from edge_detect.models.workspace import TensorReader, Workspace, output_named

__all__ = ["EndToEndDecoder"]

# Values of a joined row: the box, the score and the class number.
_SCORE, _NUMBER, _VALUES = 4, 5, 6
# Class numbers of float tensors are whole; quantized ones are off by half a step.
_WHOLE, _COARSEST_NUMBER = 0.01, 0.5


class EndToEndDecoder:
    """Decodes rows of box, score and class number: YOLOv10, YOLO26, exports with NMS.

    Args:
        spec: The manifest, family `decoded`.
        section: Its section, `classes = "index"`.
        outputs: What the model file says about its outputs, by name.

    Raises:
        ModelError: The tensors do not fit the manifest.
    """

    def __init__(
        self, spec: ModelSpec, section: DecodedSpec, outputs: Mapping[str, TensorInfo]
    ) -> None:
        names = _tensor_names(spec.name, section)
        infos = {key: output_named(spec.name, outputs, name) for key, name in names.items()}
        self._joined = "joined" in infos
        _check_steps(section, infos)
        # A few hundred rows: nothing is gained by comparing integers.
        self._reader = TensorReader(infos.values(), as_real=True)
        self.reads = self._reader.names
        self._layout = _describe(section, infos)
        self._factors = np.append(box_factors(spec, section), _tolerance(infos))
        self._every_row = np.full(1, np.inf, np.float32)
        prepare(collect_numbered)
        count = int(self._layout[places.CANDIDATES])
        self._workspace = Workspace(spec.nms, spec.labels, count, spec.name)

    def decode(
        self, outputs: dict[str, NDArray[Any]], letterbox: Letterbox, thresholds: Thresholds
    ) -> Detections:
        """Decode one inference; see `Decoder`."""
        workspace = self._workspace
        workspace.configure(letterbox, thresholds)
        tensors = self._reader.read(outputs)
        if self._joined:
            tensors = tensors * 3
        if len(tensors) == 3:
            tensors = [*tensors, self._every_row]
        factors, layout, settings = self._factors, self._layout, workspace.settings
        return workspace.decode(
            lambda boxes, notes: collect_numbered(*tensors, factors, layout, settings, boxes, notes)
        )


def _tensor_names(model: str, section: DecodedSpec) -> dict[str, str]:
    """Tensor names in the order in which they are read."""
    given = {str(key): name for key, name in section.outputs.items()}
    order = ("joined",) if "joined" in given else ("boxes", "scores", "classes", "count")
    wanted = set(order) - {"count"}
    if not wanted <= set(given) <= set(order):
        raise ModelError(
            f"manifest of {model}: decoded.outputs names {', '.join(sorted(given)) or 'nothing'}",
            "with classes = \"index\", name 'joined' alone, or 'boxes', 'scores' and 'classes',"
            " and 'count' where there is one",
        )
    if section.scores == "softmax" or section.objectness:
        raise ModelError(
            f'manifest of {model}: decoded.classes = "index" has one score per box',
            'leave out decoded.objectness, and decoded.scores unless it is "sigmoid"',
        )
    return {key: given[key] for key in order if key in given}


def _describe(section: DecodedSpec, infos: Mapping[str, TensorInfo]) -> NDArray[np.int64]:
    """The kernel's description of the tensors."""
    layout = np.zeros(places.LAYOUT_LENGTH, np.int64)
    layout[places.KIND] = KINDS[section.scores]
    layout[places.LABEL_OFFSET] = section.label_offset
    layout[places.FORM] = BOX_FORMS[section.box]
    box = infos.get("joined") or infos["boxes"]
    values = _VALUES + section.last if "joined" in infos else 4
    found = arrange(box, section.layout)
    if found.values != values and found.candidates == values:
        found = arrange(box, "rows" if section.layout == "columns" else "columns")
    if found.values != values:
        raise ModelError(
            f"output {box.name!r} of shape {box.shape} does not hold {values} values for each"
            " candidate",
            "correct decoded.outputs, or decoded.classes, in the manifest",
        )
    layout[places.CANDIDATES] = found.candidates
    layout[[places.BOX_STEP, places.BOX_VALUE_STEP]] = found.step, found.value_step
    if "joined" in infos:
        layout[[places.SCORE_STEP, places.NUMBER_STEP]] = found.step
        layout[places.SCORE_START] = _SCORE * found.value_step
        layout[places.NUMBER_START] = _NUMBER * found.value_step
        return layout
    layout[[places.SCORE_STEP, places.NUMBER_STEP]] = 1
    for key in ("scores", "classes"):
        if math.prod(infos[key].shape) != found.candidates:
            raise ModelError(
                f"output {infos[key].name!r} of shape {infos[key].shape} does not fit"
                f" {found.candidates} boxes",
                "correct decoded.outputs in the manifest",
            )
    return layout


def _check_steps(section: DecodedSpec, infos: Mapping[str, TensorInfo]) -> None:
    """Refuse quantized scores and class numbers that are too coarse to mean anything."""
    shared = "joined" in infos
    scores, numbers = (infos["joined"],) * 2 if shared else (infos["scores"], infos["classes"])
    check_scores(scores, "decoded.scores", logits=section.scores == "sigmoid", shared=shared)
    if numbers.scale > _COARSEST_NUMBER:
        raise ModelError(
            f"output {numbers.name!r} is {numbers.dtype} with a scale of {numbers.scale:.3g}:"
            " its class numbers cannot be told apart",
            "export the model again in floating point, or without NMS",
        )


def _tolerance(infos: Mapping[str, TensorInfo]) -> float:
    numbers = infos.get("joined") or infos["classes"]
    return max(_WHOLE, 0.51 * float(numbers.scale))
