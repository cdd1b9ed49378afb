"""Two outputs of the same shape, or of shapes that both fit: which are the boxes."""

from collections.abc import Sequence
from typing import NamedTuple

from edge_detect.models.file.graph import FileTensor
from edge_detect.models.infer.draft import Draft
from edge_detect.models.infer.evidence import Evidence
from edge_detect.models.infer.inference import Source

__all__ = ["Order", "boxes_first", "fill_pair"]

_BOX_WORDS = ("box", "coord", "regress")
_SCORE_WORDS = ("score", "logit", "cls", "class", "conf", "prob")
_SQUASHING = ("LOGISTIC", "SOFTMAX")


class Order(NamedTuple):
    """Which of two outputs are the boxes.

    Attributes:
        first: Whether the first ones are.
        source: What tells it.
        why: The fact or the rule.
        certain: Whether it was read rather than guessed.
    """

    first: bool
    source: Source
    why: str
    certain: bool = True

    @property
    def shown(self) -> str:
        """In a few words, if it is a guess."""
        return "" if self.certain else "boxes are the first output"


def boxes_first(
    evidence: Evidence,
    ones: Sequence[FileTensor],
    others: Sequence[FileTensor],
    *,
    squashed_boxes: bool = False,
) -> Order:
    """Tell boxes from scores where the shapes of both fit both.

    Args:
        evidence: Of the file.
        ones: The first output, or that of each scale.
        others: The second ones.
        squashed_boxes: Whether a sigmoid may make the boxes, as in a DETR.
    """
    kinds = [_named(evidence, each) for each in (ones, others)]
    if kinds[0] != kinds[1]:
        first = kinds[0] == "boxes" or kinds[1] == "scores"
        return Order(first, "tensors", f"names of {ones[0].name} and {others[0].name}")
    makers = [_squashed(evidence, each) for each in (ones, others)]
    tells = ("SOFTMAX",) if squashed_boxes else _SQUASHING
    squashed = [maker in tells for maker in makers]
    if squashed[0] != squashed[1]:
        scores, maker = (ones, makers[0]) if squashed[0] else (others, makers[1])
        return Order(squashed[1], "constants", f"{maker} makes {scores[0].name}")
    signed = [_signed(each) for each in (ones, others)]
    if not squashed_boxes and None not in signed and signed[0] != signed[1]:
        return Order(bool(signed[0]), "tensors", "scores cannot be negative, offsets can")
    return Order(first=True, source="rule", why="both outputs fit both", certain=False)


def fill_pair(draft: Draft, boxes: FileTensor, scores: FileTensor, order: Order) -> None:
    """Keys `outputs.boxes` and `outputs.scores`; where nothing tells, one inference may."""
    for key, tensor, shown in (("boxes", boxes, order.shown), ("scores", scores, "")):
        why = f"{tensor}: {order.why}"
        draft.set(
            f".outputs.{key}",
            tensor.name,
            order.source,
            why,
            certain=order.certain,
            shown=shown,
        )
    draft.ask(".outputs.boxes")


def _named(evidence: Evidence, tensors: Sequence[FileTensor]) -> str:
    """`boxes` or `scores` as the names say; empty where they do not."""
    found = set()
    for each in tensors:
        name = f"{each.name} {evidence.graph.signatures.get(each.index, '')}".lower()
        boxes = any(word in name for word in _BOX_WORDS)
        scores = any(word in name for word in _SCORE_WORDS)
        found.add("" if boxes == scores else "boxes" if boxes else "scores")
    return found.pop() if len(found) == 1 else ""


def _squashed(evidence: Evidence, tensors: Sequence[FileTensor]) -> str:
    """The activation that makes all of them, also in parts; empty where there is none."""
    found = set()
    for each in tensors:
        maker = evidence.graph.producer(each.index)
        makers = [maker]
        if maker is not None and maker.name == "CONCATENATION":
            makers = [evidence.graph.producer(number) for number in maker.inputs if number >= 0]
        found |= {one.name if one is not None else "" for one in makers}
    return found.pop() if len(found) == 1 else ""


def _signed(tensors: Sequence[FileTensor]) -> bool | None:
    """Whether quantized values can be far below 0; None where not all are quantized."""
    if not all(each.quantized for each in tensors):
        return None
    limits = [each.limits for each in tensors]
    return any(low < -0.1 * high for low, high in limits)
