"""A small model, run in a process of its own: libraries crash, hang and print a lot."""

from pathlib import Path
from threading import Event

from edge_detect.core import AcceleratorError, bundled_path
from edge_detect.models.helper.session import open_in_helper
from edge_detect.models.helper.wire import Order

__all__ = ["smallest_model", "try_model"]

_INFERENCE_S = 5.0


def smallest_model() -> Path | None:
    """The smallest of the models that came with the package; None if there are none."""
    files = bundled_path("models_tflite").glob("*.tflite")
    return min(
        (file for file in files if not file.stem.endswith("edgetpu")),
        key=lambda file: file.stat().st_size,
        default=None,
    )


def try_model(order: Order, give_up: Event) -> str:
    """Open a model and run it once.

    Args:
        order: What and where.
        give_up: Ends the wait when it is set.

    Returns:
        The runtime that ran it, and its version.

    Raises:
        AcceleratorError: The device or its library failed.
        ModelError: The model cannot be used.
        DependencyError: The runtime is missing, or does not fit the others.
    """
    try:
        session = open_in_helper(order, deadline_s=_INFERENCE_S, give_up=give_up)
    except OSError as error:
        raise AcceleratorError(f"no process can be started: {error.strerror}") from error
    try:
        session.invoke()
        return session.runtime
    finally:
        session.close()
