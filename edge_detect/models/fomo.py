"""The decoder for FOMO models."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_detect.core import Detections, Letterbox, ModelError
from edge_detect.kernels import fomo as places
from edge_detect.kernels import select
from edge_detect.kernels.fomo import collect_cells
from edge_detect.kernels.quantize import LOGIT, PROBABILITY, SOFTMAX
from edge_detect.kernels.registry import prepare
from edge_detect.models.first_look import FirstLook
from edge_detect.models.sections.fomo import FomoSpec
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

__all__ = ["FomoDecoder"]

_KINDS = {"probability": PROBABILITY, "softmax": SOFTMAX, "sigmoid": LOGIT}


class FomoDecoder:
    """Decodes a grid of class probabilities.

    Args:
        spec: The manifest, family `fomo`.
        fomo: Its section.
        outputs: What the model file says about its outputs, by name.

    Raises:
        ModelError: The tensor does not fit the manifest.
    """

    def __init__(self, spec: ModelSpec, fomo: FomoSpec, outputs: Mapping[str, TensorInfo]) -> None:
        if "grid" not in fomo.outputs:
            raise ModelError(f"manifest of {spec.name}: fomo.outputs.grid is missing")
        info = output_named(spec.name, outputs, fomo.outputs["grid"])
        self._reader = TensorReader([info])
        self.reads = self._reader.names
        self._fomo = fomo
        rows, columns, channels = _shape_of(spec, fomo, info)
        width, height = spec.input.size
        self._cell_size = np.array([width / columns, height / rows], np.float64)
        self._layout = np.zeros(places.LAYOUT_LENGTH, np.int64)
        self._layout[places.ROWS] = rows
        self._layout[places.COLUMNS] = columns
        self._layout[places.CHANNELS] = channels
        self._layout[places.FIRST] = fomo.background
        self._layout[places.SHIFT] = shift_of(self._reader.infos[0].dtype)
        self._layout[places.KIND] = _KINDS[fomo.scores]
        self._first_look = self._look_at(spec.name, rows * columns, channels)
        self._table = self._tabulate()
        self._limit = np.zeros(1, self._reader.element_type)
        self._impossible = False
        self._marks = np.zeros(rows * columns * channels, np.uint8)
        self._stack = np.zeros(rows * columns, np.int32)
        prepare(collect_cells, self._reader.element_type)
        self._labels = tuple(spec.labels)
        self._workspace = Workspace(None, self._labels, rows * columns, spec.name)

    def decode(
        self, outputs: dict[str, NDArray[Any]], letterbox: Letterbox, thresholds: Thresholds
    ) -> Detections:
        """Decode one inference; see `Decoder`."""
        workspace = self._workspace
        if workspace.configure(letterbox, thresholds):
            self._set_threshold(thresholds.score)
        grid = self._reader.read(outputs)[0]
        self._first_look(grid)
        if self._impossible:
            return Detections.empty(self._labels)
        settings = workspace.settings
        return workspace.decode(
            lambda boxes, notes: collect_cells(
                grid, self._limit, self._table, self._cell_size, self._layout, settings,
                self._marks, self._stack, boxes, notes,
            )
        )  # fmt: skip

    def _look_at(self, model: str, cells: int, channels: int) -> FirstLook:
        """The look at all scores of the first frame, the background's among them."""
        layout = np.zeros(select.LAYOUT_LENGTH, np.int64)
        layout[[select.CANDIDATES, select.STOP]] = cells, channels
        layout[[select.SCORE_STEP, select.COLUMN_STEP]] = channels, 1
        layout[select.KIND] = _KINDS[self._fomo.scores]
        info = self._reader.infos[0]
        return FirstLook(model, "fomo.scores", info, layout, logits="softmax")

    def _tabulate(self) -> NDArray[np.float32]:
        info = self._reader.infos[0]
        scale = np.float64(np.float32(info.scale))
        functions = {
            "probability": unheld_probability(info.scale),
            "softmax": lambda _: exponential(np.arange(256) * -scale),
            "sigmoid": logistic,
        }
        return table_of((info, functions[self._fomo.scores]))

    def _set_threshold(self, threshold: float) -> None:
        """Find the least element that can reach the threshold."""
        self._impossible = False
        if self._fomo.scores == "softmax":
            return
        if self._table.size:
            least = least_element(self._table[0], threshold, self._reader.infos[0].dtype)
            self._impossible = least is None
            self._limit[0] = least or 0
        elif self._fomo.scores == "sigmoid":
            self._limit[0] = least_logit(threshold)
        else:
            self._limit[0] = least_probability(threshold)


def _shape_of(spec: ModelSpec, fomo: FomoSpec, info: TensorInfo) -> tuple[int, int, int]:
    """Rows, columns and scores per cell.

    Raises:
        ModelError: The tensor is no grid, or its scores do not fit the labels.
    """
    shape = info.shape[1:] if len(info.shape) == 4 and info.shape[0] == 1 else info.shape
    if len(shape) != 3 or math.prod(shape) == 0:
        raise ModelError(
            f"{spec.name}: output {info.name!r} has shape {info.shape}, which is no grid",
            "a FOMO has rows x columns x scores",
        )
    rows, columns, channels = shape
    wanted = len(spec.labels) + fomo.background
    if channels != wanted:
        raise ModelError(
            f"{spec.name}: {channels} scores per cell, but {len(spec.labels)} labels"
            f" {'and the background' if fomo.background else 'without a background'} make {wanted}",
            "correct the labels, or fomo.background, in the manifest",
        )
    return rows, columns, channels
