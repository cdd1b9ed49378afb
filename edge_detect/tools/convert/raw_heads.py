"""What the detector can decode itself, of networks whose graph decodes its boxes.

Each guess is a manifest for the network without its decoding. Whether a guess is right is told
by running both: see `from_float`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_detect.models.infer.probe import test_picture
from edge_detect.models.spec import ModelSpec
from edge_detect.tools.convert.flatbuffer import Graph
from edge_detect.tools.convert.heads import cut_at, split_filters
from edge_detect.tools.convert.interpreter import open_interpreter

__all__ = ["RawGuess", "raw_guesses"]

_BOX_AND_OBJECTNESS = 5
# Anchors are told by cells whose sizes are neither tiny nor saturated.
_SPREAD = 1e-3


@dataclass(frozen=True)
class RawGuess:
    """A network without its decoding, and what its outputs may mean.

    Attributes:
        content: A float file.
        manifest: Family, head, and the family's section.
        words: What is decoded by the detector, for people.
    """

    content: bytes
    manifest: dict[str, Any]
    words: str


@dataclass(frozen=True)
class _Level:
    """The heads of one grid: tensor and channels of each, in the order of the graph."""

    stride: int
    heads: tuple[tuple[int, int], ...]

    @property
    def channels(self) -> list[int]:
        return [channels for _, channels in self.heads]


def raw_guesses(content: bytes, spec: ModelSpec, heads: list[int]) -> Iterator[RawGuess]:
    """What a network may be without its decoding, the likeliest first.

    Args:
        content: A float network whose graph decodes its boxes.
        spec: Its manifest.
        heads: Of `find_heads`.
    """
    levels = _levels(Graph(content), spec, heads)
    if levels is None:
        return
    counts = {len(level.heads) for level in levels}
    if counts == {2}:
        yield from _distributions(content, spec, levels)
    elif counts == {3}:
        yield from _anchor_free(content, spec, levels)
    elif counts == {1}:
        yield from _anchored(content, spec, levels)


def _levels(graph: Graph, spec: ModelSpec, heads: list[int]) -> list[_Level] | None:
    """The heads as grids, fine ones first; None if one is none."""
    width, height = spec.input.size
    found = []
    for head in heads:
        shape = [int(side) for side in graph.tensors[head].shape]
        if len(shape) != 4 or shape[0] != 1 or min(shape) < 1:
            return None
        stride = round(width / shape[2])
        if stride < 1:
            return None
        if (-(-height // stride), -(-width // stride)) != (shape[1], shape[2]):
            return None
        found.append((stride, head, shape[3]))
    found.sort(key=lambda each: each[0])
    return [
        _Level(stride, tuple((head, channels) for _, head, channels in group))
        for stride, group in groupby(found, key=lambda each: each[0])
    ]


def _name(level: _Level, kind: str) -> str:
    return f"stride{level.stride}/{kind}"


def _distributions(content: bytes, spec: ModelSpec, levels: list[_Level]) -> Iterator[RawGuess]:
    """YOLOv8 and its kin: distances to four sides, and classes."""
    classes = len(spec.labels)
    for box in (0, 1):
        sides = {level.channels[box] for level in levels}
        if len(sides) != 1 or {level.channels[1 - box] for level in levels} != {classes}:
            continue
        bins, rest = divmod(sides.pop(), 4)
        if rest or not bins:
            continue
        outputs = {
            _name(level, kind): level.heads[index][0]
            for level in levels
            for kind, index in (("boxes", box), ("classes", 1 - box))
        }
        rows = [
            {
                "stride": level.stride,
                "outputs": {kind: _name(level, kind) for kind in ("boxes", "classes")},
            }
            for level in levels
        ]
        section = {"levels": rows, "bins": bins, "centre": 0.5, "scores": "sigmoid"}
        yield RawGuess(
            cut_at(content, outputs),
            {"family": "dfl", "head": "raw", "dfl": section},
            f"distances to the sides ({bins} bins) and class logits of {len(levels)} grids",
        )


def _anchor_free(content: bytes, spec: ModelSpec, levels: list[_Level]) -> Iterator[RawGuess]:
    """YOLOX: a box, an objectness and classes per cell."""
    wanted = [4, 1, len(spec.labels)]
    kinds = ("boxes", "objectness", "classes")
    if any(level.channels != wanted for level in levels):
        return
    outputs = {
        _name(level, kind): head
        for level in levels
        for kind, (head, _) in zip(kinds, level.heads, strict=True)
    }
    heads = [
        {"stride": level.stride, "outputs": {kind: _name(level, kind) for kind in kinds}}
        for level in levels
    ]
    yield RawGuess(
        cut_at(content, outputs),
        {"family": "yolo", "head": "split", "yolo": {"coding": "linear", "heads": heads}},
        f"offsets, objectness and class logits of {len(levels)} grids",
    )


def _anchored(content: bytes, spec: ModelSpec, levels: list[_Level]) -> Iterator[RawGuess]:
    """YOLOv5 and YOLOv7: anchors in the graph, which its own boxes tell."""
    section = spec.decoded
    values = _BOX_AND_OBJECTNESS + len(spec.labels)
    if section is None or not section.objectness or section.box != "cxcywh":
        return
    if any(level.channels[0] % values for level in levels) or "joined" not in section.outputs:
        return
    anchors = _measure_anchors(content, spec, levels, values)
    if anchors is None:
        return
    graph, heads = Graph(content), []
    outputs: dict[str, int] = {}
    for level, pairs in zip(levels, anchors, strict=True):
        first = np.arange(len(pairs))[:, None] * values
        parts = {
            "boxes": first + np.arange(4),
            "objectness": first + 4,
            "classes": first + np.arange(5, values),
        }
        named = {_name(level, kind): each.ravel().tolist() for kind, each in parts.items()}
        made = split_filters(graph, level.heads[0][0], named)
        if made is None:
            return
        outputs |= made
        heads.append(
            {
                "stride": level.stride,
                "anchors": [[round(float(side), 3) for side in pair] for pair in pairs],
                "outputs": {kind: _name(level, kind) for kind in parts},
            }
        )
    yield RawGuess(
        cut_at(graph.to_bytes(), outputs),
        {"family": "yolo", "head": "split", "yolo": {"coding": "squared", "heads": heads}},
        f"offsets to {len(anchors[0])} anchors, objectness and class logits of {len(levels)} grids",
    )


def _measure_anchors(
    content: bytes, spec: ModelSpec, levels: list[_Level], values: int
) -> list[NDArray[np.float64]] | None:
    """Width and height of each anchor in pixels: what the graph multiplies sizes by.

    Returns:
        Per level (anchors, 2); None where sizes are coded otherwise.
    """
    assert spec.decoded is not None
    names = {f"head{number}": level.heads[0][0] for number, level in enumerate(levels)}
    raw = _run(cut_at(content, names), spec)
    decoded = _run(content, spec)[spec.decoded.outputs["joined"]]
    rows = decoded.reshape(decoded.shape[-2:])
    rows = rows.T if spec.decoded.layout == "columns" else rows
    scale = np.array(spec.input.size if spec.decoded.unit == "relative" else (1, 1))
    found, start = [], 0
    for number, level in enumerate(levels):
        count = level.channels[0] // values
        logits = raw[f"head{number}"].reshape(-1, count, values).astype(np.float64)
        with np.errstate(over="ignore"):
            cells = 1 / (1 + np.exp(-logits))
        block = rows[start : start + cells.shape[0] * count].astype(np.float64)
        start += len(block)
        if block.shape != (cells.shape[0] * count, values):
            return None
        # By cells, then anchors; or, as PyTorch's exports have it, by anchors, then cells.
        by_cells = block.reshape(cells.shape)
        by_anchors = block.reshape(count, -1, values).swapaxes(0, 1)
        ordered = min((by_cells, by_anchors), key=lambda each: np.abs(each - cells)[..., 4:].max())
        # Saturated sizes give ratios that are no numbers, which fail the comparison.
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            ratios = ordered[..., 2:4] * scale / (2 * cells[..., 2:4]) ** 2
            middle = np.median(ratios, axis=0)
            alike = np.std(ratios, axis=0) <= _SPREAD * middle
        if not np.all(alike):
            return None
        found.append(middle)
    return found


def _run(content: bytes, spec: ModelSpec) -> dict[str, NDArray[np.float32]]:
    """The outputs for the test picture, by name."""
    interpreter = open_interpreter(content, keep=False)
    width, height = spec.input.size
    pixels = test_picture(width, height)[..., : spec.input.channels]
    real = (pixels - np.asarray(spec.input.mean)) / np.asarray(spec.input.std)
    interpreter.set_tensor(
        interpreter.get_input_details()[0]["index"], real[None].astype(np.float32)
    )
    interpreter.invoke()
    details = interpreter.get_output_details()
    return {each["name"]: interpreter.get_tensor(each["index"]) for each in details}
