"""Which activations of a network share one scale, and what is known of their ranges."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from edge_detect.tools.convert.flatbuffer import Graph

__all__ = ["MOVERS", "Group", "Links", "Window", "describe_groups"]

# Least and greatest value.
Window = tuple[float, float]

# One scale for input and output: the kernels of these move and compare values as they are.
MOVERS = {
    "AVERAGE_POOL_2D",
    "CONCATENATION",
    "DEPTH_TO_SPACE",
    "EXPAND_DIMS",
    "GATHER",
    "MAXIMUM",
    "MAX_POOL_2D",
    "MINIMUM",
    "MIRROR_PAD",
    "PACK",
    "PAD",
    "RESHAPE",
    "RESIZE_BILINEAR",
    "RESIZE_NEAREST_NEIGHBOR",
    "SLICE",
    "SPACE_TO_DEPTH",
    "SPLIT",
    "SPLIT_V",
    "SQUEEZE",
    "STRIDED_SLICE",
    "TRANSPOSE",
    "UNPACK",
}
# Those whose results are some of their inputs' values.
_SELECTING = MOVERS - {"AVERAGE_POOL_2D", "RESIZE_BILINEAR"}
# Ranges that the integer kernels of these demand.
_DEMANDED = {
    "LOGISTIC": (0.0, 255 / 256),
    "SOFTMAX": (0.0, 255 / 256),
    "TANH": (-1.0, 127 / 128),
}


@dataclass(frozen=True)
class Group:
    """Activations that share one scale.

    Attributes:
        members: All of them.
        seen: Those whose values matter: of what is pooled the greatest alone do.
        slope: What the readers multiply negative errors by.
        leaky: Numbers of the groups whose leaky ReLUs make all values of this one, if so.
        fixed: The range, where it does not follow from the values.
        least: What the range has to contain.
        top: Greatest value that the activation lets through.
        capped: Whether some, not all, of the values are clipped at 6.
        rectified: Whether zeros are frequent and exact.
    """

    members: tuple[int, ...]
    seen: tuple[int, ...]
    slope: float
    leaky: tuple[int, ...]
    fixed: Window | None
    least: Window
    top: float
    capped: bool
    rectified: bool

    @property
    def is_given(self) -> bool:
        """Whether the range follows from more than the values."""
        return self.fixed is not None or self.least != (0.0, 0.0)


class Links:
    """What writes and what reads each tensor, looked up once."""

    def __init__(self, graph: Graph) -> None:
        self.outputs = set(map(int, graph.subgraph.outputs))
        self._float32 = graph.schema.TensorType.FLOAT32
        self._graph = graph
        self._makers: dict[int, Any] = {}
        self._readers: dict[int, list[Any]] = {}
        for operator in graph.operators:
            for index in map(int, operator.outputs):
                self._makers[index] = operator
            for index in {int(one) for one in operator.inputs}:
                self._readers.setdefault(index, []).append(operator)

    def readers(self, index: int) -> list[Any]:
        """The operators that take a tensor."""
        return self._readers.get(index, [])

    def makers(self, group: Sequence[int]) -> list[Any]:
        """The operators that write some tensors, and do more than to move values."""
        made = (self._makers[index] for index in group)
        return [one for one in made if self._graph.kind(one) not in MOVERS]

    def kind(self, index: int) -> str:
        """Kind of the operator that writes a tensor."""
        return self._graph.kind(self._makers[index])

    def reals(self, indices: Iterable[int]) -> list[int]:
        """Those of some tensors that hold float32."""
        tensors = self._graph.tensors
        return [int(one) for one in indices if one >= 0 and tensors[one].type == self._float32]

    def takes_others(self, group: Sequence[int]) -> bool:
        """Whether values from outside of a group are moved into it: constants, or the image."""
        movers = [self._makers[index] for index in group if self.kind(index) in MOVERS]
        return any(not set(self.reals(one.inputs)) <= set(group) for one in movers)

    def is_seen(self, index: int) -> bool:
        """Whether a tensor's own values matter, not only some in what they are moved to."""
        kinds = {self._graph.kind(one) for one in self.readers(index)}
        return index in self.outputs or not kinds or not kinds <= _SELECTING


def _scale_groups(graph: Graph, links: Links) -> list[list[int]]:
    """Activations that must have one scale in common, each group in order of execution."""
    group_of: dict[int, list[int]] = {}
    for operator in graph.operators:
        made = links.reals(operator.outputs)
        if graph.kind(operator) not in MOVERS or not made:
            for index in made:
                group_of.setdefault(index, [index])
            continue
        sources = [int(index) for index in operator.inputs if int(index) in group_of]
        merged: list[int] = []
        for group in _distinct(group_of[index] for index in sources):
            merged += group
        merged += made
        for index in merged:
            group_of[index] = merged
    return [part for group in _distinct(group_of.values()) for part in _parted(links, group)]


def _distinct(groups: Iterable[list[int]]) -> list[list[int]]:
    return list({id(group): group for group in groups}.values())


def _parted(links: Links, group: list[int]) -> list[list[int]]:
    """A group, without the results that have a range of their own where others need another."""
    kinds = {index: links.kind(index) for index in group}
    demanded = [index for index in group if kinds[index] in _DEMANDED]
    others = not set(kinds.values()) <= MOVERS | set(_DEMANDED) or links.takes_others(group)
    if not others and len({_DEMANDED[kinds[index]] for index in demanded}) == 1:
        return [group]
    rest = [index for index in group if index not in demanded]
    return [part for part in (*([index] for index in demanded), rest) if part]


def describe_groups(graph: Graph, links: Links, given: Mapping[int, Window]) -> list[Group]:
    """The groups of a network.

    Args:
        graph: A simplified float network.
        links: Of the same.
        given: Ranges that do not follow from the values, by tensor.
    """
    members = _scale_groups(graph, links)
    place = {index: number for number, group in enumerate(members) for index in group}
    described = [_describe(graph, links, group, given) for group in members]
    for number, group in enumerate(described):
        makers = links.makers(group.members)
        sources = {place[int(one.inputs[0])] for one in makers if int(one.inputs[0]) in place}
        all_leaky = {graph.kind(one) for one in makers} == {"LEAKY_RELU"}
        if all_leaky and not any(described[source].is_given for source in sources):
            described[number] = replace(group, leaky=tuple(sorted(sources)))
    return described


def _describe(graph: Graph, links: Links, group: list[int], given: Mapping[int, Window]) -> Group:
    """All of a group but `leaky`."""
    names = graph.schema.ActivationFunctionType
    makers = links.makers(group)
    fused = [getattr(one.builtinOptions, "fusedActivationFunction", 0) for one in makers]
    kinds = [graph.kind(one) for one in makers]
    clips = [
        fuse == names.RELU6 or kind == "RELU6" for fuse, kind in zip(fused, kinds, strict=True)
    ]
    rectifies = [fuse in (names.RELU, names.RELU6) for fuse in fused]
    alone = bool(makers) and not links.takes_others(group)
    seen = [index for index in group if links.is_seen(index)] or group
    demanded = next((_DEMANDED[kind] for kind in kinds if kind in _DEMANDED), None)
    windows = [given[index] for index in group if index in given]
    least = (
        min((low for low, _ in windows), default=0.0),
        max((high for _, high in windows), default=0.0),
    )
    settled = bool(windows) and all(index in given for index in seen)
    return Group(
        members=tuple(group),
        seen=tuple(seen),
        slope=max(_slope(graph, links, index) for index in seen),
        leaky=(),
        fixed=demanded or (least if settled else None),
        least=least,
        top=6.0 if alone and all(clips) else np.inf,
        capped=any(clips) and not (alone and all(clips)),
        rectified=alone and all(rectifies),
    )


def _slope(graph: Graph, links: Links, index: int) -> float:
    readers = links.readers(index)
    if not readers or any(graph.kind(one) != "LEAKY_RELU" for one in readers):
        return 1.0
    return max(float(one.builtinOptions.alpha) for one in readers)
