"""The layers of a Darknet network, checked and with their shapes worked out."""

from dataclasses import dataclass
from typing import NamedTuple

from edge_detect.core import Size

__all__ = [
    "AvgPool",
    "Convolutional",
    "Dropout",
    "Layer",
    "MaxPool",
    "Network",
    "Product",
    "Reorg",
    "Route",
    "Shape",
    "Shortcut",
    "Upsample",
    "Yolo",
]


class Shape(NamedTuple):
    """Size of a feature map, without the batch."""

    rows: int
    columns: int
    channels: int

    def __str__(self) -> str:
        """Width, height and channels, as Darknet prints them."""
        return f"{self.columns}x{self.rows}x{self.channels}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """What all layers have.

    Attributes:
        line: Where the cfg describes it.
        sources: Indices of the layers that it reads, -1 for the network's input.
        shape: Of its output.
    """

    line: int
    sources: tuple[int, ...]
    shape: Shape


@dataclass(frozen=True, slots=True, kw_only=True)
class Convolutional(Layer):
    """A convolution, with its batch normalization and activation.

    Attributes:
        channels: Of its input.
        size: Kernel side.
        stride: Step, both ways.
        padding: Zeros on each of the four sides.
        groups: Input and output channels are cut into so many independent groups.
        batch_normalize: Whether the weights file carries scale, mean and variance.
        activation: One of `ACTIVATIONS`.
    """

    channels: int
    size: int
    stride: int
    padding: int
    groups: int
    batch_normalize: bool
    activation: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MaxPool(Layer):
    """A maximum over windows; `padding` is the total of both sides, the smaller half first."""

    size: int
    stride: int
    padding: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AvgPool(Layer):
    """The mean of each channel."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Route(Layer):
    """Layers joined along the channels; of each, only group `group_id` of `groups`."""

    groups: int
    group_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Shortcut(Layer):
    """A sum of layers; of others than the first, only the channels that both have."""

    activation: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Product(Layer):
    """A product of two layers, of which the first may have one value per channel or per cell."""

    activation: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reorg(Layer):
    """Squares of `stride` x `stride` cells moved into the channels.

    Attributes:
        stride: Side of a square.
        scrambled: Whether Darknet's first order is followed: it takes the input, in memory by
            channels, rows and columns, for one that has `stride` times the rows and columns and
            fewer channels. Otherwise the channels of the first cell of each square come first.
    """

    stride: int
    scrambled: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Upsample(Layer):
    """Every cell repeated `stride` times both ways."""

    stride: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Dropout(Layer):
    """Nothing, at inference."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Yolo(Layer):
    """A head, [yolo] or [region]; the layer before it gives its raw outputs.

    Attributes:
        kind: Name of its section.
        mask: Which of the cfg's anchors this head has.
        anchors: Width and height of those, in pixels of the input.
        classes: Number of classes.
        scale_x_y: Stretch of the box centre beyond its cell.
        new_coords: Scaled-YOLOv4's coding of boxes.
        softmax: Whether class probabilities are a softmax over all classes, as in YOLOv2.
        stride: Input pixels per cell.
    """

    kind: str
    mask: tuple[int, ...]
    anchors: tuple[tuple[float, float], ...]
    classes: int
    scale_x_y: float
    new_coords: bool
    softmax: bool
    stride: int


@dataclass(frozen=True, slots=True)
class Network:
    """A whole cfg.

    Attributes:
        source: Name of the file.
        input_size: In pixels.
        layers: In the order of the file, [net] left out; Darknet counts them from 0.
        channels: Of the input: 3 (R, G, B) or 1 (grey).
    """

    source: str
    input_size: Size
    layers: tuple[Layer, ...]
    channels: int = 3

    @property
    def heads(self) -> list[tuple[int, Yolo]]:
        """Each head and the index of the layer that feeds it."""
        return [(layer.sources[0], layer) for layer in self.layers if isinstance(layer, Yolo)]
