"""The decoder for models with distribution focal loss: raw YOLOv8, NanoDet, PicoDet."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_detect.core import Detections, Letterbox, ModelError, Size
from edge_detect.kernels import select as places
from edge_detect.kernels.dfl import place_dfl
from edge_detect.kernels.registry import prepare
from edge_detect.models.arrangement import check_scores
from edge_detect.models.first_look import FirstLook
from edge_detect.models.sections.dfl import DflOutputs, DflSpec
from edge_detect.models.selector import KINDS, Selector
from edge_detect.models.spec import ModelSpec
from edge_detect.models.tables import (
    exponential,
    logistic,
    shift_of,
    table_of,
    unheld_probability,
)
from edge_detect.models.tensors import TensorInfo, Thresholds
from edge_detect.models.workspace import TensorReader, Workspace, output_named

__all__ = ["DflDecoder"]

_Floats = NDArray[np.float64]


class _Grids:
    """The tensors of one level, or of all, and the kernels' arguments made of them."""

    def __init__(
        self,
        spec: ModelSpec,
        dfl: DflSpec,
        outputs: DflOutputs,
        cells: NDArray[np.float32],
        infos: Mapping[str, TensorInfo],
    ) -> None:
        names = [name for key, name in sorted(outputs.items())]
        named = [output_named(spec.name, infos, name) for name in names]
        check_scores(named[-1], "dfl.scores", logits=dfl.scores == "sigmoid", shared=False)
        self._reader = TensorReader(named)
        self.reads = self._reader.names
        tensors = self._reader.infos
        corner, scores = tensors[0], tensors[-1]
        self._cells = cells
        self._layout = _describe(spec, dfl, tensors, len(cells))
        self._table = _tabulate(dfl, corner, scores)
        self.selector = Selector(self._layout, self._table, scores, scores)
        self._first_look = FirstLook(spec.name, "dfl.scores", scores, self._layout)
        prepare(place_dfl, self._reader.element_type)

    def collect(
        self,
        outputs: dict[str, NDArray[Any]],
        settings: _Floats,
        boxes: NDArray[np.float32],
        notes: NDArray[np.int32],
        count: int,
    ) -> int:
        """Append the candidates; beyond the capacity they are only counted."""
        tensors = self._reader.read(outputs)
        corner, scores = tensors[0], tensors[-1]
        self._first_look(scores)
        if self.selector.impossible:
            return count
        end = self.selector.select(scores, scores, settings, boxes, notes, count)
        if end > boxes.shape[1]:
            return end
        return int(
            place_dfl(
                corner, self._table, self._cells, self._layout, settings, boxes, notes, count, end
            )
        )


class DflDecoder:
    """Decodes distances to the four sides of a box.

    Args:
        spec: The manifest, family `dfl`.
        dfl: Its section.
        outputs: What the model file says about its outputs, by name.

    Raises:
        ModelError: The tensors do not fit the manifest.
    """

    def __init__(self, spec: ModelSpec, dfl: DflSpec, outputs: Mapping[str, TensorInfo]) -> None:
        size = spec.input.frame_size
        levels = [_cells(size, level.stride, dfl.centre) for level in dfl.levels]
        if dfl.outputs:
            levels = [np.concatenate(levels)]
        named = [dfl.outputs] if dfl.outputs else [level.outputs for level in dfl.levels]
        self._grids = [
            _Grids(spec, dfl, names, cells, outputs)
            for names, cells in zip(named, levels, strict=True)
        ]
        self.reads = tuple(name for grids in self._grids for name in grids.reads)
        capacity = sum(len(cells) for cells in levels)
        self._workspace = Workspace(spec.nms, spec.labels, capacity, spec.name)

    def decode(
        self, outputs: dict[str, NDArray[Any]], letterbox: Letterbox, thresholds: Thresholds
    ) -> Detections:
        """Decode one inference; see `Decoder`."""
        workspace = self._workspace
        if workspace.configure(letterbox, thresholds):
            for grids in self._grids:
                grids.selector.set_threshold(thresholds.score)
        # No inner function: its annotations would be evaluated for each frame (8 us).
        return workspace.decode(lambda boxes, notes: self._collect(outputs, boxes, notes))

    def _collect(
        self,
        outputs: dict[str, NDArray[Any]],
        boxes: NDArray[np.float32],
        notes: NDArray[np.int32],
    ) -> int:
        count, settings = 0, self._workspace.settings
        for grids in self._grids:
            count = grids.collect(outputs, settings, boxes, notes, count)
        return count


def _cells(size: Size, stride: int, centre: float) -> NDArray[np.float32]:
    """Where distances begin in each cell of a grid, and its stride; (n, 3) float32.

    A grid covers the whole input, also where that is not a multiple of the stride.
    """
    columns, rows = math.ceil(size.width / stride), math.ceil(size.height / stride)
    y, x = np.mgrid[:rows, :columns].reshape(2, -1)
    return np.stack(
        [(x + centre) * stride, (y + centre) * stride, np.full(x.size, stride)], 1
    ).astype(np.float32)


def _describe(
    spec: ModelSpec, dfl: DflSpec, tensors: Sequence[TensorInfo], cells: int
) -> NDArray[np.int64]:
    """The kernels' description of the tensors."""
    classes, sides = len(spec.labels), 4 * dfl.bins
    layout = np.zeros(places.LAYOUT_LENGTH, np.int64)
    layout[places.CANDIDATES] = cells
    layout[[places.STOP, places.ALL_COLUMNS]] = classes
    layout[places.KIND] = KINDS[dfl.scores]
    layout[places.SHIFT] = shift_of(tensors[0].dtype)
    layout[places.BINS] = dfl.bins
    joined = len(tensors) == 1
    box_values, score_values = (sides + classes,) * 2 if joined else (sides, classes)
    box_step, value_step = _steps(dfl, tensors[0], cells, box_values, classes)
    score_step, column_step = _steps(dfl, tensors[-1], cells, score_values, classes)
    layout[[places.BOX_STEP, places.BOX_VALUE_STEP]] = box_step, value_step
    layout[[places.SCORE_STEP, places.COLUMN_STEP]] = score_step, column_step
    if joined and dfl.joined == "boxes-classes":
        layout[places.SCORE_START] = sides * value_step
    elif joined:
        layout[places.BOX_START] = classes * value_step
    return layout


def _steps(dfl: DflSpec, info: TensorInfo, cells: int, values: int, labels: int) -> tuple[int, int]:
    """Elements from cell to cell, and from value to value.

    Raises:
        ModelError: The tensor does not hold so many values for each cell.
    """
    shape = info.shape
    if dfl.layout == "rows":
        found, steps = shape[-1], (values, 1)
    else:
        found, steps = (shape[1] if len(shape) > 2 else shape[0]), (1, cells)
    if math.prod(shape) != cells * found:
        raise ModelError(
            f"output {info.name!r} of shape {shape} does not hold {cells} cells",
            "correct the strides of [dfl.levels], dfl.layout or input.size in the manifest",
        )
    if found != values:
        raise ModelError(
            f"output {info.name!r} of shape {shape} has {found} values per cell; the manifest"
            f" needs {values} ({dfl.bins} bins, {labels} labels)",
            "correct the labels or dfl.bins in the manifest",
        )
    return steps


def _tabulate(dfl: DflSpec, corner: TensorInfo, scores: TensorInfo) -> NDArray[np.float32]:
    chance: Callable[[_Floats], _Floats] = logistic
    if dfl.scores == "probability":
        chance = unheld_probability(scores.scale)

    def shares(_: _Floats) -> _Floats:
        return exponential(np.arange(256) * -np.float64(np.float32(corner.scale)))

    return table_of((scores, chance), (scores, chance), (corner, shares), (corner, lambda x: x))
