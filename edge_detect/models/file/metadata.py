"""TFLite metadata: what its maker says about a model, in an entry of the file.

Reference:
    The TFLite metadata schema 1.5.0 (`metadata_schema.fbs`), and MediaPipe's
    `object_detector_metadata_schema.fbs` 1.0.0 for anchors and their decoding.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_detect.models.file.flatbuffer import Table, root_table

__all__ = ["ENTRY", "AnchorNotes", "TensorNotes", "TfliteMetadata", "read_metadata"]

ENTRY = "TFLITE_METADATA"

# Kinds of associated files: labels of an axis, labels of values.
_LABELS = (2, 3)
_NORMALIZATION, _THRESHOLD = 1, 3
_IMAGE, _BOXES = 2, 3
_MOST = 64
_MOST_ANCHORS = 200_000


@dataclass(slots=True, frozen=True)
class TensorNotes:
    """About one input or output.

    Attributes:
        name: Its name; not that of the tensor in the graph.
        description: Free text.
        mean: `real = (pixel - mean) / std`, one number or one per channel; empty where unsaid.
        std: See `mean`.
        threshold: Least score; None where unsaid.
        labels: Names of files with labels.
        color: `rgb`, `grey` or empty.
        box: `xyxy`, `yxyx`, `xywh`, `cxcywh` or empty.
        unit: `relative`, `pixels` or empty.
    """

    name: str = ""
    description: str = ""
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    threshold: float | None = None
    labels: tuple[str, ...] = ()
    color: str = ""
    box: str = ""
    unit: str = ""


@dataclass(slots=True, frozen=True)
class AnchorNotes:
    """How MediaPipe decodes an SSD.

    Attributes:
        anchors: (n, 4) float64, centre x, centre y, width, height, relative to the input.
        values: Box values per anchor.
        keypoints: Points per anchor, after the box.
        scales: Divisors of t_y, t_x, t_h, t_w.
        exponential: Whether sizes are exp(t), else t.
        sigmoid: Whether scores are logits.
    """

    anchors: NDArray[np.float64]
    values: int
    keypoints: int
    scales: tuple[float, float, float, float]
    exponential: bool
    sigmoid: bool


@dataclass(slots=True, frozen=True)
class TfliteMetadata:
    """What the entry says.

    Attributes:
        name: Of the model.
        description: Free text.
        inputs: In the order of the graph.
        outputs: In the order of the graph.
        labels: Names of files with labels of the model as a whole.
        anchors: MediaPipe's, where there are.
    """

    name: str = ""
    description: str = ""
    inputs: tuple[TensorNotes, ...] = ()
    outputs: tuple[TensorNotes, ...] = ()
    labels: tuple[str, ...] = ()
    anchors: AnchorNotes | None = None

    @property
    def label_files(self) -> tuple[str, ...]:
        """Names of files with labels, those of outputs first."""
        return tuple(name for each in self.outputs for name in each.labels) + self.labels


def read_metadata(content: bytes) -> TfliteMetadata:
    """Read the entry `TFLITE_METADATA` of a file.

    Raises:
        ValueError: It is damaged.
    """
    model = root_table(content)
    graphs = model.tables(3, limit=1)
    labels = _label_files(model.tables(6, limit=_MOST))
    if not graphs:
        return TfliteMetadata(model.text(0), model.text(1), labels=labels)
    graph = graphs[0]
    return TfliteMetadata(
        model.text(0),
        model.text(1),
        tuple(_tensor(each) for each in graph.tables(2, limit=_MOST)),
        tuple(_tensor(each) for each in graph.tables(3, limit=_MOST)),
        labels + _label_files(graph.tables(4, limit=_MOST)),
        _anchors(graph.tables(9, limit=_MOST)),
    )


def _tensor(table: Table) -> TensorNotes:
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    threshold = None
    for unit in table.tables(4, limit=_MOST):
        kind, options = unit.number(0, "B"), unit.table(1)
        if options is not None and kind == _NORMALIZATION:
            mean, std = options.numbers(0, "f"), options.numbers(1, "f")
        elif options is not None and kind == _THRESHOLD:
            threshold = float(options.number(0, "f", 0.0))
    color = box = unit_name = ""
    content = table.table(3)
    if content is not None:
        kind, said = content.number(0, "B"), content.table(1)
        if said is not None and kind == _IMAGE:
            color = {1: "rgb", 2: "grey"}.get(said.number(0, "b"), "")
        elif said is not None and kind == _BOXES:
            box, unit_name = _box(said)
    return TensorNotes(
        table.text(0),
        table.text(1),
        mean,
        std,
        threshold,
        _label_files(table.tables(6, limit=_MOST)),
        color,
        box,
        unit_name,
    )


def _box(said: Table) -> tuple[str, str]:
    """Order of the values of a box, and their unit."""
    base = {1: "xyxy", 2: "xywh", 3: "cxcywh"}.get(said.number(1, "b"), "")
    index = said.numbers(0, "I") or (0, 1, 2, 3)
    if base == "xyxy" and index == (1, 0, 3, 2):
        base = "yxyx"
    elif index != (0, 1, 2, 3):
        base = ""
    return base, "pixels" if said.number(2, "b") == 1 else "relative"


def _label_files(files: list[Table]) -> tuple[str, ...]:
    return tuple(file.text(0) for file in files if file.number(2, "b") in _LABELS)


def _anchors(entries: list[Table]) -> AnchorNotes | None:
    for entry in entries:
        if entry.text(0) == "DETECTOR_METADATA":
            return _anchor_notes(root_table(entry.data(1)))
    return None


def _anchor_notes(options: Table) -> AnchorNotes | None:
    ssd, decoding = options.table(1), options.table(2)
    schema = ssd.table(0) if ssd else None
    if schema is None or decoding is None:
        return None
    rows = [
        [anchor.number(field, "f", 0.0) for field in range(4)]
        for anchor in schema.tables(0, limit=_MOST_ANCHORS)
    ]
    x, y, w, h = (float(decoding.number(field, "f", 0.0)) or 1.0 for field in (6, 7, 8, 9))
    return AnchorNotes(
        np.array(rows, np.float64).reshape(-1, 4),
        decoding.number(2, "i") or 4,
        decoding.number(4, "i"),
        (y, x, h, w),
        bool(decoding.number(10, "B")),
        bool(decoding.number(11, "B")),
    )
