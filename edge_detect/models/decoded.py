"""The decoder for models whose graph decodes its boxes itself, with one score per class."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from edge_detect.core import Detections, Letterbox, ModelError
from edge_detect.kernels import decoded as forms
from edge_detect.kernels import select as places
from edge_detect.kernels.candidates import TINY_PIXELS
from edge_detect.kernels.decoded import place_decoded
from edge_detect.kernels.registry import prepare
from edge_detect.models.arrangement import Arrangement, arrange, check_scores
from edge_detect.models.first_look import FirstLook
from edge_detect.models.sections.decoded import DecodedSpec
from edge_detect.models.selector import KINDS, Selector
from edge_detect.models.spec import ModelSpec
from edge_detect.models.tables import (
    logistic,
    shift_of,
    table_of,
    unheld_probability,
)
from edge_detect.models.tensors import TensorInfo, Thresholds
from edge_detect.models.workspace import TensorReader, Workspace, output_named

__all__ = ["BOX_FORMS", "DecodedDecoder", "box_factors"]

_Floats = NDArray[np.float64]
_T = TypeVar("_T")

BOX_FORMS = {
    "cxcywh": forms.CENTRE_SIZE,
    "xyxy": forms.CORNERS,
    "yxyx": forms.SWAPPED_CORNERS,
    "xywh": forms.CORNER_SIZE,
}


def box_factors(spec: ModelSpec, section: DecodedSpec) -> _Floats:
    """Input pixels per unit of each of the four box values; (4,) float64."""
    width, height = spec.input.size if section.unit == "relative" else (1, 1)
    pair = (height, width) if section.box == "yxyx" else (width, height)
    return np.array(pair * 2, np.float64)


class DecodedDecoder:
    """Decodes boxes with one score per class.

    Args:
        spec: The manifest, family `decoded`.
        section: Its section, `classes = "scores"`.
        outputs: What the model file says about its outputs, by name.

    Raises:
        ModelError: The tensors do not fit the manifest.
    """

    def __init__(
        self, spec: ModelSpec, section: DecodedSpec, outputs: Mapping[str, TensorInfo]
    ) -> None:
        self._section = section
        self._joined = "joined" in section.outputs
        names = _tensor_names(spec.name, section)
        infos = [output_named(spec.name, outputs, name) for name in names]
        _check_scores(section, infos)
        # Few models have a softmax behind their outputs, and those have few candidates.
        self._reader = TensorReader(infos, as_real=section.scores == "softmax")
        self.reads = self._reader.names
        self._layout = _describe(spec, section, infos)
        infos = self._reader.infos
        self._corner, self._scores, self._objectness = _roles(infos)
        self._layout[places.SHIFT] = shift_of(self._scores.dtype)
        self._factors = box_factors(spec, section)
        self._table = self._tabulate()
        self._check_unit()
        self._selector = Selector(self._layout, self._table, self._scores, self._objectness)
        self._first_look = FirstLook(spec.name, "decoded.scores", self._scores, self._layout)
        self._labels = tuple(spec.labels)
        prepare(place_decoded, self._reader.element_type)
        count = int(self._layout[places.CANDIDATES])
        self._workspace = Workspace(spec.nms, self._labels, count, spec.name)

    def decode(
        self, outputs: dict[str, NDArray[Any]], letterbox: Letterbox, thresholds: Thresholds
    ) -> Detections:
        """Decode one inference; see `Decoder`."""
        workspace = self._workspace
        if workspace.configure(letterbox, thresholds):
            self._selector.set_threshold(thresholds.score)
        tensors = _roles(self._reader.read(outputs))
        self._first_look(tensors[1])
        if self._selector.impossible:
            return Detections.empty(self._labels)
        # No inner function: its annotations would be evaluated for each frame (8 us).
        return workspace.decode(lambda boxes, notes: self._collect(*tensors, boxes, notes))

    def _collect(
        self,
        corner: NDArray[Any],
        scores: NDArray[Any],
        objectness: NDArray[Any],
        boxes: NDArray[np.float32],
        notes: NDArray[np.int32],
    ) -> int:
        settings = self._workspace.settings
        count = self._selector.select(scores, objectness, settings, boxes, notes, 0)
        if count > boxes.shape[1]:
            return count
        return int(
            place_decoded(
                corner, self._table, self._factors, self._layout, settings, boxes, notes, count
            )
        )

    def _tabulate(self) -> NDArray[np.float32]:
        def chance(info: TensorInfo) -> tuple[TensorInfo, Callable[[_Floats], _Floats]]:
            held = unheld_probability(info.scale)
            return info, logistic if self._section.scores == "sigmoid" else held

        lengths = [
            (self._corner, lambda real, factor=factor: real * factor) for factor in self._factors
        ]
        return table_of(chance(self._scores), chance(self._objectness), *lengths)

    def _check_unit(self) -> None:
        """Refuse quantized boxes that are too small to be in pixels."""
        if not self._table.size:
            return
        reach = float(self._table[2:].max())
        if self._section.unit == "pixels" and reach <= TINY_PIXELS:
            raise ModelError(
                f"output {self._corner.name!r} holds nothing above {reach:.3g}: boxes are"
                " relative to the input",
                'set decoded.unit = "relative" in the manifest',
            )


def _tensor_names(model: str, section: DecodedSpec) -> list[str]:
    """Tensor names: the joined one; or boxes, scores and, where there is one, objectness."""
    keys = {str(key) for key in section.outputs}
    allowed = {"joined"}, {"boxes", "scores"}, {"boxes", "scores", "objectness"}
    if keys not in allowed:
        raise ModelError(
            f"manifest of {model}: decoded.outputs names {', '.join(sorted(keys)) or 'nothing'}",
            "name 'joined' alone, or 'boxes' and 'scores', and 'objectness' where there is one",
        )
    if section.scores == "softmax" and section.objectness:
        raise ModelError(
            f'manifest of {model}: decoded.scores = "softmax" has no objectness',
            "leave out decoded.objectness, or name the scores as they are",
        )
    if "joined" not in keys and section.objectness != ("objectness" in keys):
        raise ModelError(
            f"manifest of {model}: decoded.objectness and decoded.outputs.objectness do not fit",
            "an objectness in an output of its own needs both, or leave out both",
        )
    order = ("joined", "boxes", "scores", "objectness")
    return [name for key in order for given, name in section.outputs.items() if given == key]


def _roles(tensors: list[_T]) -> tuple[_T, _T, _T]:
    """Boxes, scores and objectness; the scores stand in for what there is not."""
    corner = tensors[0]
    scores = tensors[1] if len(tensors) > 1 else corner
    return corner, scores, tensors[2] if len(tensors) > 2 else scores


def _check_scores(section: DecodedSpec, infos: list[TensorInfo]) -> None:
    """Refuse quantized scores that contradict the manifest or are too coarse."""
    corner, scores, objectness = _roles(infos)
    if section.scores != "softmax":
        logits = section.scores == "sigmoid"
        for info in (scores, objectness):
            check_scores(info, "decoded.scores", logits=logits, shared=info is corner)


def _describe(spec: ModelSpec, section: DecodedSpec, infos: list[TensorInfo]) -> NDArray[np.int64]:
    """The kernels' description of the tensors."""
    columns = len(spec.labels) - section.label_offset + section.last
    first, stop = section.first, columns - section.last
    if not (first < stop and first + section.label_offset >= 0):
        raise ModelError(
            f"{len(spec.labels)} labels, label_offset {section.label_offset}, first"
            f" {section.first} and last {section.last} do not fit",
            "correct [decoded] first, last and label_offset, or the labels, in the manifest",
        )
    layout = np.zeros(places.LAYOUT_LENGTH, np.int64)
    layout[[places.FIRST, places.STOP, places.ALL_COLUMNS]] = first, stop, columns
    layout[places.KIND] = KINDS[section.scores]
    layout[places.LABEL_OFFSET] = section.label_offset
    layout[places.FORM] = BOX_FORMS[section.box]
    if len(infos) == 1:
        head = 4 + int(section.objectness)
        whole = _arrange_scores(infos[0], section, head, columns)
        box, objectness, scores = whole, whole, whole
        layout[places.SCORE_START] = head * whole.value_step
        layout[places.OBJECT_START] = 4 * whole.value_step
    else:
        scores = _arrange_scores(infos[1], section, 0, columns)
        box = _arrange_boxes(infos[0], section, scores.candidates)
        objectness = Arrangement(scores.candidates, 1, 1, 1)
    if len(infos) > 2 and np.prod(infos[2].shape) != scores.candidates:
        raise ModelError(
            f"output {infos[2].name!r} of shape {infos[2].shape} does not fit"
            f" {scores.candidates} candidates"
        )
    layout[places.CANDIDATES] = scores.candidates
    layout[[places.SCORE_STEP, places.COLUMN_STEP]] = scores.step, scores.value_step
    layout[[places.BOX_STEP, places.BOX_VALUE_STEP]] = box.step, box.value_step
    layout[places.OBJECT_STEP] = objectness.step if section.objectness else 0
    return layout


def _arrange_scores(info: TensorInfo, section: DecodedSpec, head: int, columns: int) -> Arrangement:
    """The arrangement of a tensor with scores, once it fits the labels."""
    found = arrange(info, section.layout)
    if head == 0 and columns == 1 and found.candidates == 1:
        # With one class, 1 x candidates is both layouts.
        return Arrangement(found.values, 1, 1, 1)
    if found.values == head + columns:
        return found
    hint = (
        "correct the labels, or [decoded] layout, objectness, first, last or label_offset, in the"
        " manifest"
    )
    if found.candidates == head + columns:
        other = "rows" if section.layout == "columns" else "columns"
        hint = f'set decoded.layout = "{other}" in the manifest'
    elif head and found.values == columns + 9 - head and not section.label_offset:
        change = "remove one label" if section.objectness else "add the missing label"
        other = str(not section.objectness).lower()
        hint = f"{change}, or set decoded.objectness = {other} in the manifest"
    classes = max(found.values - head - section.last + section.label_offset, 0)
    raise ModelError(
        f"output {info.name!r} of shape {info.shape} has {found.values} values per candidate,"
        f" which fit {classes} labels; the manifest has"
        f" {columns - section.last + section.label_offset}",
        hint,
    )


def _arrange_boxes(info: TensorInfo, section: DecodedSpec, candidates: int) -> Arrangement:
    """The arrangement of a tensor with boxes alone; its shape shows the layout."""
    for layout in (section.layout, "rows", "columns"):
        found = arrange(info, layout)
        if (found.values, found.candidates) == (4, candidates):
            return found
    raise ModelError(
        f"output {info.name!r} of shape {info.shape} does not hold 4 values for each of"
        f" {candidates} candidates",
        "correct decoded.outputs in the manifest",
    )
