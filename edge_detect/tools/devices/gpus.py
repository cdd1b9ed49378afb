"""GPUs, and whether LiteRT can use one."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any

from edge_detect.board.gpu import RenderNode, find_render_nodes
from edge_detect.core import EdgeDetectError
from edge_detect.models.helper.wire import Order
from edge_detect.tools.devices.judgement import Judgement, State
from edge_detect.tools.devices.trial import smallest_model, try_model

__all__ = ["Gpu", "find_gpus", "judge_trial", "try_gpu"]

_VULKAN = (
    "install its Vulkan driver (sudo apt install mesa-vulkan-drivers vulkan-tools; NVIDIA's comes "
    "with its own) and see whether `vulkaninfo --summary` lists the GPU"
)


@dataclass(slots=True, frozen=True)
class Gpu:
    """One that the kernel knows.

    Attributes:
        found: By the kernel.
        judgement: Whether programs of this user may compute with it.
    """

    found: RenderNode
    judgement: Judgement

    def as_json(self) -> dict[str, Any]:
        """As plain data."""
        return self.judgement.as_json() | {
            "name": self.found.name,
            "driver": self.found.driver or None,
            "device": self.found.device or None,
            "node": str(self.found.node),
        }


def find_gpus(root: Path = Path("/")) -> list[Gpu]:
    """All that the kernel knows, judged.

    Args:
        root: Where `sys`, `proc` and `dev` are.
    """
    return [Gpu(found, _judge(found)) for found in find_render_nodes(root)]


def try_gpu(give_up: Event) -> EdgeDetectError | str:
    """Have LiteRT run the smallest bundled model on a GPU.

    Args:
        give_up: Ends the wait when it is set.

    Returns:
        What ran it; or why it cannot.
    """
    model = smallest_model()
    if model is None:
        return EdgeDetectError("no model is here to try it with")
    try:
        return f"{try_model(Order(str(model), 'gpu', compiled=True), give_up)} runs {model.stem}"
    except EdgeDetectError as error:
        return error


def judge_trial(outcome: EdgeDetectError | str, gpus: Sequence[Gpu]) -> Judgement:
    """Whether `accelerator = "gpu"` works here.

    Args:
        outcome: Of `try_gpu`.
        gpus: What the kernel knows.
    """
    if isinstance(outcome, str):
        return Judgement(State.OK, outcome)
    if not gpus:
        return Judgement(State.NONE, f"the kernel knows none; {outcome.message}", outcome.hint)
    hints = [gpu.judgement.hint for gpu in gpus if not gpu.judgement.usable]
    return Judgement(State.FAIL, outcome.message, *(hints[:1] or [outcome.hint or _VULKAN]))


def _judge(found: RenderNode) -> Judgement:
    if not os.path.lexists(found.node):
        return Judgement(
            State.FAIL,
            f"{found.node} is missing",
            "in a container, pass /dev/dri into it (docker run --device /dev/dri)",
        )
    if not os.access(found.node, os.R_OK | os.W_OK):
        return Judgement(
            State.FAIL,
            f"{found.node} may not be opened by this user",
            "sudo usermod -aG render $USER, then log in again",
        )
    told = (f"driver {found.driver}" if found.driver else "", found.device)
    return Judgement(State.OK, ", ".join(part for part in told if part) or "not described")
