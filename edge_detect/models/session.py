"""A model that is loaded and ready to run, wherever it runs."""

from typing import Any, Protocol

from numpy.typing import NDArray

from edge_detect.models.tensors import TensorInfo

__all__ = ["Session"]


class Session(Protocol):
    """A model that is loaded.

    It has one or more slots, each with the memory of one inference's input and outputs. While
    one slot is at work, another may be filled, or its results read. One more, whose number is
    `slots`, is for frames that another device has failed with, so that these never wait for
    frames behind them.

    Attributes:
        runtime: Package and version, such as `litert 2.3.0`.
        device: What it runs on, such as `cpu` or `edgetpu:usb:0`.
        threads: Threads that share one inference.
        slots: How many there are, without the one more.
        deferred: Whether `finish` does the work, in the calling thread and in one memory that all
            slots share. Then `Engine` has one thread at a time write, infer and read there.
        inputs: The model's inputs.
        outputs: The model's outputs by tensor name.
    """

    runtime: str
    device: str
    threads: int
    slots: int
    deferred: bool
    inputs: tuple[TensorInfo, ...]
    outputs: dict[str, TensorInfo]

    def input_view(self, slot: int = 0) -> NDArray[Any]:
        """The first input's memory, batch dimension included; writable."""

    def output_views(self, slot: int = 0) -> dict[str, NDArray[Any]]:
        """The outputs' memory by tensor name, batch dimension included."""

    def begin(self, slot: int = 0) -> None:
        """Have what the slot's input holds inferred; returns at once where it can.

        Raises:
            AcceleratorError: The device is gone.
        """

    def finish(self, slot: int = 0) -> int:
        """Wait for what was begun.

        Returns:
            How long the inference itself took, nanoseconds.

        Raises:
            AcceleratorError: It failed or took longer than a deadline.
        """

    def invoke(self) -> None:
        """Infer whatever the first slot's input holds.

        Raises:
            AcceleratorError: It failed or took longer than a deadline.
        """

    def close(self) -> None:
        """Give the model's memory back; the session is of no use afterwards."""
