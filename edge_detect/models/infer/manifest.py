"""An inferred manifest as a file: its keys in the usual order, guesses marked."""

from typing import Any

from edge_detect.models.infer.inference import Inference

__all__ = ["guess_comments", "manifest_of"]

_FIRST = ("name", "description", "family", "head", "file", "edgetpu", "cpu_twin", "labels", "input")
_LAST = ("nms", "origin")


def manifest_of(inferred: Inference) -> dict[str, Any]:
    """Sections and values, in the order in which manifests have them."""
    data = inferred.spec.model_dump(mode="json", exclude_none=True, exclude_unset=True)
    middle = [key for key in data if key not in (*_FIRST, *_LAST)]
    return {key: data[key] for key in (*_FIRST, *middle, *_LAST) if key in data}


def guess_comments(inferred: Inference) -> dict[str, str]:
    """A comment for every value that nothing in the file tells, by key."""
    return {
        each.key: f"guess: {each.why}"
        for each in inferred.guesses
        if each.key not in ("kind", "family")
    }
