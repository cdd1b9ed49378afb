"""Darknet's cfg files as checked, typed layers.

What is accepted is listed by hand: a layer or an option that is not known here, and could
change what the network computes, is an error that names it and its line. Options that only
matter in training are accepted and ignored.

Reference:
    Darknet's parser (`src/parser.c`) by Redmon, and Bochkovskiy's continuation of it, for
    the meaning of every option and its default.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

from edge_detect.core import ConfigError, ModelError, Size
from edge_detect.tools.convert.darknet_layers import (
    Convolutional,
    Dropout,
    Layer,
    MaxPool,
    Network,
    Route,
    Shape,
    Shortcut,
    Upsample,
    Yolo,
)
from edge_detect.tools.convert.darknet_options import ACTIVATIONS, check_options
from edge_detect.tools.convert.darknet_sections import Section, read_sections

__all__ = ["read_cfg"]


def read_cfg(path: Path, masks: Mapping[int, tuple[int, ...]] | None = None) -> Network:
    """Read a network's description.

    Args:
        path: The cfg file.
        masks: Corrections: anchor indices by number of the head, from 0, in place of what
            the cfg says.

    Raises:
        ModelError: The cfg is not understood or contradicts itself; names section and line.
        ConfigError: A correction is for a head that does not exist.
    """
    sections = read_sections(path)
    if not sections or sections[0].kind not in {"net", "network"}:
        raise ModelError(f"{path.name} does not begin with [net]", "is this a Darknet cfg?")
    net = sections[0]
    check_options(net)
    size = Size(net.integer("width", least=1), net.integer("height", least=1))
    channels = net.integer("channels", 3)
    if channels not in (1, 3):
        raise net.error(
            f"says channels={channels}; pictures have 3 (colour) or 1 (grey)", key="channels"
        )
    builder = _Builder(size, dict(masks or {}), channels)
    for section in sections[1:]:
        builder.add(section)
    heads = builder.heads
    if heads == 0:
        raise ModelError(f"{path.name} has no [yolo] head", "only YOLO detectors are supported")
    for head in masks or {}:
        if not 0 <= head < heads:
            raise ConfigError(
                f"a mask is given for head {head}; {path.name} has {heads}",
                f"heads are numbered 0 to {heads - 1}, in the order of the cfg",
            )
    return Network(path.name, size, tuple(builder.layers), channels)


class _Builder:
    """The layers so far, and how the next section adds to them."""

    def __init__(self, size: Size, masks: Mapping[int, tuple[int, ...]], channels: int = 3) -> None:
        self.size = size
        self.input_shape = Shape(size.height, size.width, channels)
        self.masks = masks
        self.layers: list[Layer] = []
        self.heads = 0
        self._readers: dict[str, Callable[[Section], Layer]] = {
            "convolutional": self._convolutional,
            "conv": self._convolutional,
            "maxpool": self._maxpool,
            "max": self._maxpool,
            "route": self._route,
            "shortcut": self._shortcut,
            "upsample": self._upsample,
            "dropout": self._dropout,
            "yolo": self._yolo,
        }

    def add(self, section: Section) -> None:
        """Append the layer that a section describes."""
        reader = self._readers.get(section.kind)
        if reader is None:
            raise section.error(
                "is not a supported layer",
                "supported are convolutional, dropout, maxpool, route, shortcut, upsample, yolo",
            )
        check_options(section)
        layer = reader(section)
        if min(layer.shape) < 1:
            rows, columns, _ = layer.shape
            raise section.error(f"has an output of {columns}x{rows}", "use a larger [net] size")
        self.layers.append(layer)

    def _shape(self, index: int) -> Shape:
        return self.layers[index].shape if index >= 0 else self.input_shape

    def _previous(self, section: Section) -> int:
        previous = len(self.layers) - 1
        if previous >= 0 and isinstance(self.layers[previous], Yolo):
            raise section.error(
                "reads the output of a [yolo]", "put a [route] between that names another layer"
            )
        return previous

    def _refer(self, section: Section, key: str) -> tuple[int, ...]:
        here = len(self.layers)
        indices = []
        for value in section.integers(key):
            index = value + here if value < 0 else value
            if not 0 <= index < here:
                raise section.error(
                    f"says {key}={value}, which is layer {index}; it is layer {here} itself and "
                    "can only refer to earlier ones",
                    key=key,
                )
            if isinstance(self.layers[index], Yolo):
                raise section.error(f"says {key}={value}, which is a [yolo]", key=key)
            indices.append(index)
        if not indices:
            raise section.error(f"needs {key}=…")
        return tuple(indices)

    def _activation(self, section: Section, default: str) -> str:
        name = section.text("activation", default)
        if name not in ACTIVATIONS:
            raise section.error(
                f"says activation={name}, which is not supported",
                f"supported are {', '.join(ACTIVATIONS)}",
                key="activation",
            )
        return name

    def _convolutional(self, section: Section) -> Layer:
        source = self._previous(section)
        rows, columns, channels = self._shape(source)
        filters = section.integer("filters", 1, least=1)
        size = section.integer("size", 1, least=1)
        stride = section.integer("stride", 1, least=1)
        groups = section.integer("groups", 1, least=1)
        padding = section.integer("padding", 0, least=0)
        if section.flag("pad"):
            padding = size // 2
        if channels % groups or filters % groups:
            raise section.error(
                f"says groups={groups}, which does not divide {channels} input channels and "
                f"{filters} filters",
                key="groups",
            )
        return Convolutional(
            line=section.line,
            sources=(source,),
            shape=Shape(
                (rows + 2 * padding - size) // stride + 1,
                (columns + 2 * padding - size) // stride + 1,
                filters,
            ),
            channels=channels,
            size=size,
            stride=stride,
            padding=padding,
            groups=groups,
            batch_normalize=section.flag("batch_normalize"),
            activation=self._activation(section, "logistic"),
        )

    def _maxpool(self, section: Section) -> Layer:
        source = self._previous(section)
        rows, columns, channels = self._shape(source)
        stride = section.integer("stride", 1, least=1)
        size = section.integer("size", stride, least=1)
        padding = section.integer("padding", size - 1, least=0)
        if padding > size:
            raise section.error(
                f"pads {padding} around windows of {size}: some would hold nothing", key="padding"
            )
        return MaxPool(
            line=section.line,
            sources=(source,),
            shape=Shape(
                (rows + padding - size) // stride + 1,
                (columns + padding - size) // stride + 1,
                channels,
            ),
            size=size,
            stride=stride,
            padding=padding,
        )

    def _route(self, section: Section) -> Layer:
        sources = self._refer(section, "layers")
        shapes = [self._shape(index) for index in sources]
        groups = section.integer("groups", 1, least=1)
        group_id = section.integer("group_id", 0, least=0)
        if group_id >= groups:
            raise section.error(f"says group_id={group_id} of groups={groups}", key="group_id")
        for index, shape in zip(sources, shapes, strict=True):
            self._require_same_grid(section, shapes[0], index, shape)
            if shape.channels % groups:
                raise section.error(
                    f"says groups={groups}, which does not divide the {shape.channels} channels "
                    f"of layer {index}",
                    key="groups",
                )
        channels = sum(shape.channels // groups for shape in shapes)
        return Route(
            line=section.line,
            sources=sources,
            shape=shapes[0]._replace(channels=channels),
            groups=groups,
            group_id=group_id,
        )

    def _shortcut(self, section: Section) -> Layer:
        sources = (self._previous(section), *self._refer(section, "from"))
        first = self._shape(sources[0])
        for index in sources[1:]:
            shape = self._shape(index)
            self._require_same_grid(section, first, index, shape)
            if shape.channels != first.channels:
                raise section.error(
                    f"adds {shape.channels} channels of layer {index} to {first.channels}",
                    key="from",
                )
        return Shortcut(
            line=section.line,
            sources=sources,
            shape=first,
            activation=self._activation(section, "linear"),
        )

    def _require_same_grid(self, section: Section, first: Shape, index: int, shape: Shape) -> None:
        if shape[:2] != first[:2]:
            raise section.error(
                f"joins {first.columns}x{first.rows} with {shape.columns}x{shape.rows} of layer "
                f"{index}",
                "a [net] size that is a multiple of 32 is the usual cure",
            )

    def _upsample(self, section: Section) -> Layer:
        source = self._previous(section)
        rows, columns, channels = self._shape(source)
        stride = section.integer("stride", 2, least=1)
        return Upsample(
            line=section.line,
            sources=(source,),
            shape=Shape(rows * stride, columns * stride, channels),
            stride=stride,
        )

    def _dropout(self, section: Section) -> Layer:
        source = self._previous(section)
        return Dropout(line=section.line, sources=(source,), shape=self._shape(source))

    def _yolo(self, section: Section) -> Layer:
        source = self._previous(section)
        feeder = self.layers[source] if source >= 0 else None
        if not isinstance(feeder, Convolutional):
            raise section.error("does not follow a [convolutional]")
        mask, anchors = self._anchors(section)
        classes = section.integer("classes", 20, least=1)
        filters = len(mask) * (5 + classes)
        if feeder.shape.channels != filters:
            raise section.error(
                f"needs {filters} filters, {len(mask)} anchors x (5 + {classes} classes), of the "
                f"[convolutional] at line {feeder.line}, which has {feeder.shape.channels}",
                "correct filters there, or mask and classes here",
            )
        new_coords = section.flag("new_coords")
        expected = "logistic" if new_coords else "linear"
        if feeder.activation != expected:
            raise section.error(
                f"with new_coords={int(new_coords)} needs activation={expected} in the "
                f"[convolutional] at line {feeder.line}, which says {feeder.activation}"
            )
        self.heads += 1
        return Yolo(
            line=section.line,
            sources=(source,),
            shape=feeder.shape,
            mask=mask,
            anchors=anchors,
            classes=classes,
            scale_x_y=section.number("scale_x_y", 1.0),
            new_coords=new_coords,
            stride=self._stride(section, feeder.shape),
        )

    def _anchors(self, section: Section) -> tuple[tuple[int, ...], tuple[tuple[float, float], ...]]:
        numbers = section.numbers("anchors")
        if not numbers or len(numbers) % 2 or min(numbers) <= 0:
            raise section.error("needs anchors=width,height, …, all above 0", key="anchors")
        pairs = list(zip(numbers[::2], numbers[1::2], strict=True))
        if section.integer("num", len(pairs)) != len(pairs):
            raise section.error(
                f"says num={section.text('num', '')} and gives {len(pairs)} anchors", key="num"
            )
        corrected = self.heads in self.masks
        mask = self.masks[self.heads] if corrected else section.integers("mask")
        # Without a mask, Darknet gives the head all anchors.
        mask = mask or tuple(range(len(pairs)))
        if len(set(mask)) < len(mask) or not all(0 <= index < len(pairs) for index in mask):
            words = ",".join(map(str, mask))
            raise section.error(
                f"{'is given' if corrected else 'says'} mask={words}; it has anchors 0 to "
                f"{len(pairs) - 1}, each to be named once",
                key="mask",
            )
        return mask, tuple(pairs[index] for index in mask)

    def _stride(self, section: Section, grid: Shape) -> int:
        stride = self.size.width // grid.columns
        if (grid.columns * stride, grid.rows * stride) != self.size:
            raise section.error(
                f"has a grid of {grid.columns}x{grid.rows}, which does not divide the input of "
                f"{self.size}",
                "a [net] size that is a multiple of 32 is the usual cure",
            )
        return stride
