"""Decoders for SSD models: raw heads, and heads with suppression inside the graph."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from edge_detect.core import Detections, Letterbox, ModelError
from edge_detect.kernels import ssd as places
from edge_detect.kernels.quantize import LOGIT, PROBABILITY
from edge_detect.kernels.registry import prepare
from edge_detect.kernels.ssd import collect_rows, collect_sigmoid, collect_softmax
from edge_detect.models.anchors import anchor_boxes
from edge_detect.models.sections.ssd import SsdSpec
from edge_detect.models.spec import ModelSpec
from edge_detect.models.tables import (
    exponential,
    least_element,
    least_logit,
    least_probability,
    logistic,
    probability,
    shift_of,
    table_of,
)
from edge_detect.models.tensors import TensorInfo, Thresholds
from edge_detect.models.workspace import TensorReader, Workspace, output_named

__all__ = ["SsdPostprocessDecoder", "SsdRawDecoder"]

_Key = Literal["boxes", "scores", "classes", "count"]
_RAW: tuple[_Key, ...] = ("boxes", "scores")
_ROWS: tuple[_Key, ...] = ("boxes", "classes", "scores", "count")


def _named(
    spec: ModelSpec,
    outputs: Mapping[str, TensorInfo],
    ssd: SsdSpec,
    keys: Sequence[_Key],
) -> list[TensorInfo]:
    """The tensors that a section of the manifest names."""
    missing = [key for key in keys if key not in ssd.outputs]
    if missing:
        raise ModelError(f"manifest of {spec.name}: ssd.outputs.{missing[0]} is missing")
    return [output_named(spec.name, outputs, ssd.outputs[key]) for key in keys]


class SsdRawDecoder:
    """Decodes box offsets and scores of every anchor.

    Args:
        spec: The manifest, family `ssd`, head `raw`.
        ssd: Its section.
        outputs: What the model file says about its outputs, by name.

    Raises:
        ModelError: The tensors do not fit the manifest.
    """

    def __init__(self, spec: ModelSpec, ssd: SsdSpec, outputs: Mapping[str, TensorInfo]) -> None:
        if ssd.anchors is None:
            raise ModelError(f"manifest of {spec.name}: a raw SSD head needs [ssd.anchors]")
        self._reader = TensorReader(_named(spec, outputs, ssd, _RAW))
        boxes, scores = self._reader.infos
        self._scores = scores
        self._ssd = ssd
        self._anchors = anchor_boxes(ssd.anchors, spec.input.frame_size)
        self._scales = np.array([*ssd.box_scales, -math.inf], np.float64)
        self._layout = self._describe(spec, boxes, scores)
        self._table = self._tabulate(boxes, scores)
        self._limit = np.zeros(1, self._reader.element_type)
        self._impossible = False
        self._kernel = collect_softmax if ssd.scores == "softmax" else collect_sigmoid
        prepare(self._kernel, self._reader.element_type)
        self._labels = tuple(spec.labels)
        self._workspace = Workspace(spec.nms, self._labels, len(self._anchors), spec.name)

    def decode(
        self, outputs: dict[str, NDArray[Any]], letterbox: Letterbox, thresholds: Thresholds
    ) -> Detections:
        """Decode one inference; see `Decoder`."""
        workspace = self._workspace
        if workspace.configure(letterbox, thresholds):
            self._set_threshold(thresholds.score)
        boxes, scores = self._reader.read(outputs)
        kernel, limit, table, anchors = self._kernel, self._limit, self._table, self._anchors
        scales, layout, settings = self._scales, self._layout, workspace.settings
        if self._impossible:
            return Detections.empty(self._labels)
        return workspace.decode(
            lambda room, notes: kernel(
                boxes, scores, limit, table, anchors, scales, layout, settings, room, notes
            )
        )

    def _describe(
        self, spec: ModelSpec, boxes: TensorInfo, scores: TensorInfo
    ) -> NDArray[np.int64]:
        count = len(self._anchors)
        if math.prod(boxes.shape) != 4 * count or math.prod(scores.shape) % count:
            raise ModelError(
                f"{spec.name}: {count} anchors do not fit boxes {boxes.shape}"
                f" and scores {scores.shape}",
                "correct [ssd.anchors] in the manifest",
            )
        columns = math.prod(scores.shape) // count
        first, offset = int(self._ssd.background), self._ssd.label_offset
        names = len(spec.labels)
        if not (first < columns and first + offset >= 0 and columns + offset <= names):
            raise ModelError(
                f"{spec.name}: columns {first} to {columns - 1} of the scores, label_offset"
                f" {offset} and {names} labels do not fit",
                "correct [ssd] background and label_offset, or the labels, in the manifest",
            )
        layout = np.zeros(places.LAYOUT_LENGTH, np.int64)
        layout[places.ANCHORS] = count
        layout[places.COLUMNS] = columns
        layout[places.FIRST] = first
        layout[places.LABEL_OFFSET] = offset
        layout[places.SHIFT] = shift_of(scores.dtype)
        layout[places.KIND] = PROBABILITY if self._ssd.scores == "probability" else LOGIT
        layout[places.LABELS] = names
        return layout

    def _tabulate(self, boxes: TensorInfo, scores: TensorInfo) -> NDArray[np.float32]:
        y, x, h, w = self._ssd.box_scales

        def shares(_: NDArray[np.float64]) -> NDArray[np.float64]:
            return exponential(np.arange(256) * -np.float64(np.float32(scores.scale)))

        functions = {"sigmoid": logistic, "probability": probability, "softmax": shares}
        return table_of(
            (scores, functions[self._ssd.scores]),
            (boxes, lambda real: real / y),
            (boxes, lambda real: real / x),
            (boxes, lambda real: exponential(real / h)),
            (boxes, lambda real: exponential(real / w)),
        )

    def _set_threshold(self, threshold: float) -> None:
        """Find the least element, or difference of elements, that can reach the threshold."""
        self._impossible = False
        if self._ssd.scores == "softmax":
            difference = least_logit(threshold)
            if self._table.size:
                # One step less makes up for the rounding of the table.
                difference = difference / float(np.float32(self._scores.scale)) - 1
            self._scales[4] = difference
            return
        if self._table.size:
            least = least_element(self._table[0], threshold, self._scores.dtype)
            self._impossible = least is None
            self._limit[0] = least or 0
        elif self._ssd.scores == "sigmoid":
            self._limit[0] = least_logit(threshold)
        else:
            self._limit[0] = least_probability(threshold)


class SsdPostprocessDecoder:
    """Decodes the outputs of TFLite_Detection_PostProcess.

    Args:
        spec: The manifest, family `ssd`, head `postprocess`.
        ssd: Its section.
        outputs: What the model file says about its outputs, by name.

    Raises:
        ModelError: The tensors do not fit the manifest.
    """

    def __init__(self, spec: ModelSpec, ssd: SsdSpec, outputs: Mapping[str, TensorInfo]) -> None:
        infos = _named(spec, outputs, ssd, _ROWS)
        rows = math.prod(infos[2].shape)
        if math.prod(infos[0].shape) != 4 * rows or math.prod(infos[1].shape) != rows:
            shapes = ", ".join(str(info.shape) for info in infos)
            raise ModelError(
                f"{spec.name}: {', '.join(_ROWS)} have shapes that do not fit: {shapes}"
            )
        self._reader = TensorReader(infos, as_real=True)
        self._size = np.array(spec.input.size, np.float64)
        self._layout = np.zeros(places.LAYOUT_LENGTH, np.int64)
        self._layout[places.LABEL_OFFSET] = ssd.label_offset
        self._layout[places.LABELS] = len(spec.labels)
        prepare(collect_rows)
        self._workspace = Workspace(None, spec.labels, rows, spec.name)

    def decode(
        self, outputs: dict[str, NDArray[Any]], letterbox: Letterbox, thresholds: Thresholds
    ) -> Detections:
        """Decode one inference; see `Decoder`.

        The graph has suppressed already: only the score threshold and the number count.
        """
        workspace = self._workspace
        workspace.configure(letterbox, thresholds)
        tensors = self._reader.read(outputs)
        size, layout, settings = self._size, self._layout, workspace.settings
        return workspace.decode(
            lambda room, notes: collect_rows(*tensors, size, layout, settings, room, notes)
        )
