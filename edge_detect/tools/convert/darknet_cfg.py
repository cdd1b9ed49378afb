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
from edge_detect.tools.convert.darknet_heads import read_head
from edge_detect.tools.convert.darknet_layers import (
    AvgPool,
    Convolutional,
    Dropout,
    Layer,
    MaxPool,
    Network,
    Product,
    Reorg,
    Route,
    Shape,
    Shortcut,
    Upsample,
    Yolo,
)
from edge_detect.tools.convert.darknet_options import ACTIVATIONS, check_options, way_out
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
        raise ModelError(
            f"{path.name} has no [yolo] or [region] head", "only YOLO detectors are supported"
        )
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
            "avgpool": self._avgpool,
            "avg": self._avgpool,
            "scale_channels": self._scale_channels,
            "sam": self._sam,
            "reorg": self._reorg,
            "reorg3d": self._reorg,
            "yolo": self._head,
            "region": self._head,
        }

    def add(self, section: Section) -> None:
        """Append the layer that a section describes."""
        reader = self._readers.get(section.kind)
        if reader is None:
            raise section.error("is not a supported layer", way_out(section.kind))
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
        layer = self.layers[-1] if self.layers else None
        if isinstance(layer, Yolo):
            raise section.error(
                f"reads the output of a [{layer.kind}]",
                "put a [route] between that names another layer",
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
            layer = self.layers[index]
            if isinstance(layer, Yolo):
                raise section.error(f"says {key}={value}, which is a [{layer.kind}]", key=key)
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
            self._require_same_grid(section, first, index, self._shape(index))
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

    def _avgpool(self, section: Section) -> Layer:
        source = self._previous(section)
        shape = Shape(1, 1, self._shape(source).channels)
        return AvgPool(line=section.line, sources=(source,), shape=shape)

    def _scale_channels(self, section: Section) -> Layer:
        sources = (self._previous(section), *self._refer(section, "from"))
        scale, shape = self._shape(sources[0]), self._shape(sources[1])
        if section.flag("scale_wh"):
            wanted = shape._replace(channels=1)
        else:
            wanted = Shape(1, 1, shape.channels)
        return self._product(section, sources, scale, wanted)

    def _sam(self, section: Section) -> Layer:
        sources = (self._previous(section), *self._refer(section, "from"))
        return self._product(section, sources, self._shape(sources[0]), self._shape(sources[1]))

    def _product(
        self, section: Section, sources: tuple[int, ...], scale: Shape, wanted: Shape
    ) -> Layer:
        if len(sources) != 2:
            raise section.error("takes one layer", key="from")
        shape = self._shape(sources[1])
        if scale != wanted:
            raise section.error(
                f"scales {shape} of layer {sources[1]} by {scale}; {wanted} is needed", key="from"
            )
        return Product(
            line=section.line,
            sources=sources,
            shape=shape,
            activation=self._activation(section, "linear"),
        )

    def _reorg(self, section: Section) -> Layer:
        source = self._previous(section)
        rows, columns, channels = self._shape(source)
        stride = section.integer("stride", 1, least=1)
        scrambled = section.kind == "reorg"
        if rows % stride or columns % stride or (scrambled and channels % stride**2):
            raise section.error(
                f"with stride={stride} does not divide {self._shape(source)}",
                "a [net] size that is a multiple of 32 is the usual cure",
            )
        return Reorg(
            line=section.line,
            sources=(source,),
            shape=Shape(rows // stride, columns // stride, channels * stride**2),
            stride=stride,
            scrambled=scrambled,
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

    def _head(self, section: Section) -> Layer:
        source = self._previous(section)
        feeder = self.layers[source] if source >= 0 else None
        if not isinstance(feeder, Convolutional):
            raise section.error("does not follow a [convolutional]")
        self.heads += 1
        return read_head(section, source, feeder, self.size, self.masks.get(self.heads - 1))
