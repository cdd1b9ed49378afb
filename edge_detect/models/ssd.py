"""The decoder for raw heads of SSD models."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edge_detect.core import Detections, Letterbox, ModelError
from edge_detect.kernels import anchored as places
from edge_detect.kernels.anchored import collect_keypoints
from edge_detect.kernels.quantize import BLOCK, LOGIT, PROBABILITY
from edge_detect.kernels.registry import prepare
from edge_detect.kernels.ssd import collect_sigmoid, collect_softmax
from edge_detect.models.anchors import Constants, anchor_boxes
from edge_detect.models.sections.ssd import SsdOutput, SsdSpec
from edge_detect.models.spec import ModelSpec
from edge_detect.models.tables import (
    exponential,
    least_element,
    least_logit,
    least_probability,
    logistic,
    shift_of,
    table_of,
    unheld_probability,
)
from edge_detect.models.tensors import TensorInfo, Thresholds
from edge_detect.models.workspace import TensorReader, Workspace, output_named

__all__ = ["SsdRawDecoder"]

_Floats = NDArray[np.float64]

_CODINGS = {
    "centre": places.CENTRE,
    "linear": places.LINEAR,
    "corners": places.CORNERS,
    "distances": places.DISTANCES,
}
# More steps than a byte has: no difference of two elements is as large.
_ALL_STEPS = 1000.0


class _Shape(NamedTuple):
    """How one head's tensors are divided among its anchors.

    Attributes:
        anchors: Number of anchors.
        columns: Scores per anchor.
        width: Numbers per anchor in the tensor of boxes.
        point_width: Numbers per anchor in the tensor of key points.
        points: Key points per anchor.
    """

    anchors: int
    columns: int
    width: int
    point_width: int
    points: int


class _Head:
    """One pair of tensors: what they mean, and the kernels' arguments made of it.

    Args:
        ssd: The manifest's section.
        infos: Boxes, scores, and key points where they are a tensor of their own.
        shape: How they are divided among the anchors.
        anchors: (n, 4) float32, the anchors of this head.
        start: Anchors of the heads before it.
    """

    def __init__(
        self,
        ssd: SsdSpec,
        infos: list[TensorInfo],
        shape: _Shape,
        anchors: NDArray[np.float32],
        start: int,
    ) -> None:
        self._ssd = ssd
        self._reader = TensorReader(infos)
        self.reads = self._reader.names
        self._anchors = anchors
        self._scales = np.array([*ssd.box_scales, -math.inf], np.float64)
        self._layout = self._describe(shape, start)
        self._table = self._tabulate()
        self._limit = np.zeros(1, self._reader.element_type)
        first, last = ssd.objects_of(shape.columns)
        columns = np.arange(shape.columns + BLOCK) % shape.columns
        self._mask = ((first <= columns) & (columns < last)).astype(np.uint8)
        self._impossible = False
        self._kernel = collect_softmax if ssd.scores == "softmax" else collect_sigmoid
        prepare(self._kernel, self._reader.element_type)
        if shape.points:
            prepare(collect_keypoints, self._reader.element_type)

    def set_threshold(self, threshold: float) -> None:
        """Find the least element, or difference of elements, that can reach the threshold."""
        scores = self._reader.infos[1]
        self._impossible = False
        if self._ssd.scores == "softmax":
            difference = least_logit(threshold)
            if self._table.size:
                # One step less makes up for the rounding of the table.
                steps = math.ceil(
                    min(max(difference / float(np.float32(scores.scale)), -_ALL_STEPS), _ALL_STEPS)
                )
                difference = steps - 1
            self._scales[4] = difference
        elif self._table.size:
            least = least_element(self._table[0], threshold, scores.dtype)
            self._impossible = least is None
            self._limit[0] = least or 0
        elif self._ssd.scores == "sigmoid":
            self._limit[0] = least_logit(threshold)
        else:
            self._limit[0] = least_probability(threshold)

    def read(self, outputs: dict[str, NDArray[Any]]) -> list[NDArray[Any]]:
        """The tensors of one inference."""
        return self._reader.read(outputs)

    def collect(
        self,
        tensors: list[NDArray[Any]],
        settings: _Floats,
        boxes: NDArray[np.float32],
        notes: NDArray[np.int32],
        count: int,
    ) -> int:
        """Append this head's candidates; see `kernels.ssd`."""
        if self._impossible:
            return count
        return int(
            self._kernel(
                tensors[0], tensors[1], self._limit, self._mask, self._table, self._anchors,
                self._scales, self._layout, settings, boxes, notes, count,
            )
        )  # fmt: skip

    def collect_points(
        self,
        tensors: list[NDArray[Any]],
        settings: _Floats,
        notes: NDArray[np.int32],
        total: int,
        out: NDArray[np.float32],
    ) -> None:
        """Write the key points of those chosen boxes that are of this head."""
        tensor = tensors[2] if len(tensors) > 2 else tensors[0]
        collect_keypoints(
            tensor, self._table, self._anchors, self._scales, self._layout, settings, notes, total,
            out,
        )  # fmt: skip

    def _describe(self, shape: _Shape, start: int) -> NDArray[np.int64]:
        ssd, infos = self._ssd, self._reader.infos
        layout = np.zeros(places.LAYOUT_LENGTH, np.int64)
        first, last = ssd.objects_of(shape.columns)
        layout[places.ANCHORS] = shape.anchors
        layout[places.COLUMNS] = shape.columns
        layout[places.FIRST], layout[places.LAST] = first, last
        layout[places.BACKGROUND] = {"none": -1, "first": 0, "last": last}[ssd.background]
        layout[places.LABEL_OFFSET] = ssd.label_offset
        layout[places.SHIFT] = shift_of(infos[1].dtype)
        layout[places.KIND] = PROBABILITY if ssd.scores == "probability" else LOGIT
        layout[places.WIDTH] = shape.width
        layout[places.CODING] = _CODINGS[ssd.coding]
        layout[places.PLACE_Y], layout[places.PLACE_X] = ssd.box.index("y"), ssd.box.index("x")
        layout[places.START] = start
        layout[places.POINTS] = shape.points
        layout[places.POINT_START] = 4 if len(infos) == 2 else 0
        layout[places.POINT_STEP] = shape.point_width
        return layout

    def _tabulate(self) -> NDArray[np.float32]:
        boxes, scores, points = (self._reader.infos + self._reader.infos[:1])[:3]
        y, x, h, w = self._ssd.box_scales

        def shares(_: _Floats) -> _Floats:
            return exponential(np.arange(256) * -np.float64(np.float32(scores.scale)))

        def growth(real: _Floats) -> _Floats:
            return exponential(real) if self._ssd.coding == "centre" else real

        functions = {
            "sigmoid": logistic,
            "probability": unheld_probability(scores.scale),
            "softmax": shares,
        }
        return table_of(
            (scores, functions[self._ssd.scores]),
            (boxes, lambda real: real / y),
            (boxes, lambda real: real / x),
            (boxes, lambda real: growth(real / h)),
            (boxes, lambda real: growth(real / w)),
            (points, lambda real: real / y),
            (points, lambda real: real / x),
        )


class SsdRawDecoder:
    """Decodes box offsets and scores of every anchor.

    Args:
        spec: The manifest, family `ssd`, head `raw`.
        ssd: Its section.
        outputs: What the model file says about its outputs, by name.
        constants: For anchors that stand in the model file.

    Raises:
        ModelError: The tensors do not fit the manifest.
    """

    def __init__(
        self,
        spec: ModelSpec,
        ssd: SsdSpec,
        outputs: Mapping[str, TensorInfo],
        constants: Constants | None = None,
    ) -> None:
        if ssd.anchors is None:
            raise ModelError(f"manifest of {spec.name}: a raw SSD head needs [ssd.anchors]")
        anchors = anchor_boxes(ssd.anchors, spec.input.frame_size, constants)
        self._heads: list[_Head] = []
        self._labels = tuple(spec.labels)
        tensors = _tensors(spec, ssd, outputs)
        shapes = _divide(spec, ssd, tensors, len(anchors))
        start = 0
        for infos, shape in zip(tensors, shapes, strict=True):
            own = anchors[start : start + shape.anchors]
            self._heads.append(_Head(ssd, infos, shape, own, start))
            start += shape.anchors
        self.reads = tuple(name for head in self._heads for name in head.reads)
        self._points = shapes[0].points
        self._workspace = Workspace(spec.nms, self._labels, len(anchors), spec.name)

    def decode(
        self, outputs: dict[str, NDArray[Any]], letterbox: Letterbox, thresholds: Thresholds
    ) -> Detections:
        """Decode one inference; see `Decoder`."""
        workspace, heads = self._workspace, self._heads
        if workspace.configure(letterbox, thresholds):
            for head in heads:
                head.set_threshold(thresholds.score)
        tensors = [head.read(outputs) for head in heads]
        # No inner functions: their annotations would be evaluated for each frame (8 us).
        return workspace.decode(
            lambda boxes, notes: self._collect(tensors, boxes, notes),
            (lambda notes, total: self._find_points(tensors, notes, total))
            if self._points
            else None,
        )

    def _collect(
        self,
        tensors: list[list[NDArray[Any]]],
        boxes: NDArray[np.float32],
        notes: NDArray[np.int32],
    ) -> int:
        count, settings = 0, self._workspace.settings
        for head, own in zip(self._heads, tensors, strict=True):
            count = head.collect(own, settings, boxes, notes, count)
        return count

    def _find_points(
        self, tensors: list[list[NDArray[Any]]], notes: NDArray[np.int32], total: int
    ) -> NDArray[np.float32]:
        points = np.empty((total, self._points, 2), np.float32)
        for head, own in zip(self._heads, tensors, strict=True):
            head.collect_points(own, self._workspace.settings, notes, total, points)
        return points


def _tensors(
    spec: ModelSpec, ssd: SsdSpec, outputs: Mapping[str, TensorInfo]
) -> list[list[TensorInfo]]:
    """The tensors of each head: boxes, scores, and key points of their own."""
    keys: list[SsdOutput] = ["boxes", "scores"]
    for key in keys:
        if key not in ssd.outputs:
            raise ModelError(f"manifest of {spec.name}: ssd.outputs.{key} is missing")
    if "keypoints" in ssd.outputs:
        keys.append("keypoints")
    names = zip(*(ssd.names_of(key) for key in keys), strict=True)
    return [[output_named(spec.name, outputs, name) for name in head] for head in names]


def _divide(
    spec: ModelSpec, ssd: SsdSpec, tensors: list[list[TensorInfo]], count: int
) -> list[_Shape]:
    """How the tensors are divided among the anchors.

    Raises:
        ModelError: They do not fit the anchors, the labels or each other; says the numbers.
    """
    columns = _columns(spec, ssd, tensors, count)
    shapes = []
    for infos in tensors:
        # Key points are a tensor of their own, or follow the boxes.
        own = infos[2] if len(infos) > 2 else infos[0]
        sizes = [math.prod(info.shape) for info in (*infos[:2], own)]
        anchors = sizes[1] // columns
        if not anchors or any(
            size % each for size, each in zip(sizes, (anchors, columns, anchors), strict=True)
        ):
            raise _misfit(spec, count, infos)
        width, point_width = sizes[0] // anchors, sizes[2] // anchors
        if width < 4:
            raise _misfit(spec, count, infos)
        points = _count_points(spec, ssd, own, point_width - (4 if own is infos[0] else 0))
        shapes.append(_Shape(anchors, columns, width, point_width, points))
    if sum(shape.anchors for shape in shapes) != count:
        raise _misfit(spec, count, *tensors)
    if len({shape.points for shape in shapes}) > 1:
        numbers = ", ".join(str(shape.points) for shape in shapes)
        raise ModelError(f"{spec.name}: the outputs hold {numbers} key points per anchor")
    return shapes


def _count_points(spec: ModelSpec, ssd: SsdSpec, info: TensorInfo, numbers: int) -> int:
    """Key points among the numbers of an anchor that are no box."""
    wanted = ssd.keypoints
    if numbers < 2 * (wanted or 0) or (wanted is None and numbers % 2):
        raise ModelError(
            f"{spec.name}: output {info.name!r} has {numbers} numbers per anchor for"
            f" {'x and y of' if wanted is None else wanted} key points",
            "correct ssd.keypoints in the manifest; 0 ignores them",
        )
    return numbers // 2 if wanted is None else wanted


def _columns(spec: ModelSpec, ssd: SsdSpec, tensors: list[list[TensorInfo]], count: int) -> int:
    """Scores per anchor, checked against the labels."""
    total = sum(math.prod(infos[1].shape) for infos in tensors)
    if total % count or total == 0:
        raise _misfit(spec, count, *tensors)
    columns, offset, names = total // count, ssd.label_offset, len(spec.labels)
    first, last = ssd.objects_of(columns)
    if not (first < last and first + offset >= 0 and last + offset <= names):
        raise ModelError(
            f"{spec.name}: columns {first} to {last - 1} of the scores, label_offset"
            f" {offset} and {names} labels do not fit",
            "correct [ssd] background and label_offset, or the labels, in the manifest",
        )
    return columns


def _misfit(spec: ModelSpec, count: int, *heads: list[TensorInfo]) -> ModelError:
    pairs = "; ".join(f"boxes {infos[0].shape} and scores {infos[1].shape}" for infos in heads)
    return ModelError(
        f"{spec.name}: {count} anchors do not fit {pairs}",
        "correct [ssd.anchors] in the manifest",
    )
