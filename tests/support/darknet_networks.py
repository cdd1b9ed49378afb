"""Small networks with the layers and the topology of well-known Darknet detectors.

Each function writes the pattern of one architecture as cfg text: every kind of layer, every
way of joining, every pooling and head is there; widths and repeats are reduced.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from edge_detect.tools.convert.darknet_layers import Convolutional, Network

CLASSES = 4
_FILTERS = 3 * (5 + CLASSES)


class Cfg:
    """A cfg being written; layers are counted as Darknet counts them."""

    def __init__(self, size: int, activation: str = "leaky") -> None:
        self._lines = [f"[net]\nwidth={size}\nheight={size}\nchannels=3\nbatch=1\n"]
        self._activation = activation
        self.count = 0

    def add(self, kind: str, **options: object) -> int:
        """Append a section; returns its layer number."""
        keys = "".join(f"{key.rstrip('_')}={value}\n" for key, value in options.items())
        self._lines.append(f"[{kind}]\n{keys}")
        self.count += 1
        return self.count - 1

    def conv(self, filters: int, size: int = 3, stride: int = 1, **options: object) -> int:
        """Append a normalized convolution."""
        options = {"activation": self._activation, **options}
        return self.add(
            "convolutional", batch_normalize=1, filters=filters, size=size, stride=stride, pad=1,
            **options,
        )  # fmt: skip

    def route(self, *layers: int, **options: int) -> int:
        """Append a route."""
        return self.add("route", layers=",".join(map(str, layers)), **options)

    def pool(self, size: int, stride: int) -> int:
        """Append a maximum pooling."""
        return self.add("maxpool", size=size, stride=stride)

    def up(self, filters: int, joined: int) -> int:
        """Narrow, enlarge and join with an earlier layer."""
        self.conv(filters, 1)
        self.add("upsample", stride=2)
        return self.route(-1, joined)

    def residual(self, filters: int, repeats: int = 1) -> int:
        """Append pairs of convolutions that are added to their input."""
        for _ in range(repeats):
            self.conv(filters // 2, 1)
            self.conv(filters, 3)
            self.add("shortcut", from_=-3, activation="linear")
        return self.count - 1

    def csp(self, filters: int, repeats: int = 1) -> int:
        """Append a downsampling stage whose residual blocks see only half of the channels."""
        down = self.conv(filters, 3, 2)
        side = self.conv(filters // 2, 1)
        self.route(down)
        self.conv(filters // 2, 1)
        self.residual(filters // 2, repeats)
        self.conv(filters // 2, 1)
        self.route(-1, side)
        return self.conv(filters, 1)

    def pyramid_pooling(self) -> int:
        """Append the three wide poolings of SPP."""
        before = self.count - 1
        self.pool(5, 1)
        self.route(before)
        self.pool(9, 1)
        self.route(before)
        self.pool(13, 1)
        return self.route(-1, -3, -5, before)

    def head(self, mask: tuple[int, ...], *, anchors: int = 6, **options: object) -> int:
        """Append the last convolution and its [yolo]."""
        activation = "logistic" if options.get("new_coords") else "linear"
        self.add("convolutional", filters=_FILTERS, size=1, stride=1, pad=1, activation=activation)
        sizes = ", ".join(f"{10 * (i + 1)},{8 * (i + 2)}" for i in range(anchors))
        return self.add(
            "yolo", mask=",".join(map(str, mask)), anchors=sizes, classes=CLASSES, num=anchors,
            **options,
        )  # fmt: skip

    def write(self, path: Path) -> Path:
        """Write the cfg."""
        path.write_text("\n".join(self._lines), encoding="utf-8")
        return path


def yolov3_tiny() -> Cfg:
    cfg = Cfg(96)
    for filters in (8, 12, 16, 24):
        cfg.conv(filters)
        cfg.pool(2, 2)
    deep = cfg.conv(32)
    cfg.pool(2, 2)
    cfg.conv(48)
    cfg.pool(2, 1)
    cfg.conv(64)
    neck = cfg.conv(32, 1)
    cfg.conv(48)
    cfg.head((3, 4, 5))
    cfg.route(neck)
    cfg.up(16, deep)
    cfg.conv(32)
    cfg.head((1, 2, 3))
    return cfg


def _yolov3(*, spp: bool) -> Cfg:
    cfg = Cfg(128)
    cfg.conv(8)
    stages = []
    for filters, repeats in ((12, 1), (16, 1), (24, 2), (32, 2), (48, 1)):
        cfg.conv(filters, 3, 2)
        stages.append(cfg.residual(filters, repeats))
    for number, joined in enumerate((None, stages[3], stages[2])):
        width = 32 >> number
        if joined is not None:
            cfg.route(-4)
            cfg.up(width, joined)
        cfg.conv(width, 1)
        cfg.conv(2 * width)
        cfg.conv(width, 1)
        if spp and number == 0:
            cfg.pyramid_pooling()
            cfg.conv(width, 1)
        cfg.conv(2 * width)
        cfg.conv(width, 1)
        cfg.conv(2 * width)
        first = 6 - 3 * number
        cfg.head((first, first + 1, first + 2), anchors=9)
    return cfg


def yolov3() -> Cfg:
    return _yolov3(spp=False)


def yolov3_spp() -> Cfg:
    return _yolov3(spp=True)


def _yolov4_tiny(*, heads: int) -> Cfg:
    cfg = Cfg(96)
    cfg.conv(8, 3, 2)
    cfg.conv(16, 3, 2)
    stages = []
    for filters in (16, 24, 32):
        whole = cfg.conv(filters)
        cfg.route(-1, groups=2, group_id=1)
        first = cfg.conv(filters // 2)
        cfg.conv(filters // 2)
        cfg.route(-1, first)
        stages.append(cfg.conv(filters, 1))
        cfg.route(whole, -1)
        cfg.pool(2, 2)
    cfg.conv(48)
    neck = cfg.conv(32, 1)
    cfg.conv(48)
    anchors = 3 * heads
    cfg.head((anchors - 3, anchors - 2, anchors - 1), anchors=anchors, scale_x_y=1.05)
    for number in range(1, heads):
        cfg.route(neck if number == 1 else -3)
        cfg.up(16, stages[3 - number])
        cfg.conv(32)
        first = anchors - 3 * (number + 1)
        mask = (1, 2, 3) if heads == 2 else (first, first + 1, first + 2)
        cfg.head(mask, anchors=anchors, scale_x_y=1.05)
    return cfg


def yolov4_tiny() -> Cfg:
    return _yolov4_tiny(heads=2)


def yolov4_tiny_3l() -> Cfg:
    return _yolov4_tiny(heads=3)


def _path_aggregation(cfg: Cfg, stages: list[int], scales: tuple[float, ...], **head: int) -> None:
    """Append YOLOv4's neck, up and down again, and its three heads."""
    tops = [cfg.conv(24, 1)]
    for joined in (stages[1], stages[0]):
        cfg.conv(16, 1)
        cfg.add("upsample", stride=2)
        enlarged = cfg.count - 1
        cfg.route(joined)
        cfg.conv(16, 1)
        cfg.route(-1, enlarged)
        cfg.conv(16, 1)
        cfg.conv(24)
        tops.append(cfg.conv(16, 1))
    cfg.conv(32)
    cfg.head((0, 1, 2), anchors=9, scale_x_y=scales[0], **head)
    below = tops[2]
    for number, joined in ((1, tops[1]), (2, tops[0])):
        cfg.route(below)
        cfg.conv(24, 3, 2)
        cfg.route(-1, joined)
        cfg.conv(16, 1)
        cfg.conv(24)
        below = cfg.conv(16, 1)
        cfg.conv(32)
        first = 3 * number
        cfg.head((first, first + 1, first + 2), anchors=9, scale_x_y=scales[number], **head)


def yolov4() -> Cfg:
    cfg = Cfg(128, "mish")
    cfg.conv(8)
    stages = [cfg.csp(filters, repeats) for filters, repeats in ((16, 1), (16, 2), (24, 2))]
    stages += [cfg.csp(32, 2), cfg.csp(48, 1)]
    cfg.conv(24, 1, activation="leaky")
    cfg.conv(48, 3, activation="leaky")
    cfg.conv(24, 1, activation="leaky")
    cfg.pyramid_pooling()
    cfg.conv(24, 1, activation="leaky")
    _path_aggregation(cfg, stages[2:4], (1.2, 1.1, 1.05))
    return cfg


def yolov4_csp() -> Cfg:
    cfg = Cfg(128, "mish")
    cfg.conv(8)
    cfg.conv(16, 3, 2)
    cfg.residual(16)
    stages = [cfg.csp(filters) for filters in (16, 24, 32, 48)]
    # The neck's own CSP block, around the wide poolings.
    side = cfg.conv(24, 1)
    cfg.route(-2)
    cfg.conv(24, 1)
    cfg.conv(24)
    cfg.conv(24, 1)
    cfg.pyramid_pooling()
    cfg.conv(24, 1)
    cfg.conv(24)
    cfg.route(-1, side)
    _path_aggregation(cfg, stages[1:3], (2.0, 2.0, 2.0), new_coords=1)
    return cfg


def yolo_fastest() -> Cfg:
    cfg = Cfg(96)
    cfg.conv(8, 3, 2)

    def inverted(filters: int, stride: int, *, add: bool) -> int:
        wide = 4 * filters
        cfg.conv(wide, 1)
        cfg.conv(wide, 3, stride, groups=wide)
        cfg.conv(filters, 1, activation="linear")
        if add:
            cfg.add("dropout", probability=0.15)
            cfg.add("shortcut", from_=-5, activation="linear")
        return cfg.count - 1

    for filters in (8, 12, 16):
        inverted(filters, 2, add=False)
        stage = inverted(filters, 1, add=True)
    inverted(24, 2, add=False)
    inverted(24, 1, add=True)
    neck = cfg.conv(32, 1)
    cfg.conv(32, 5, groups=32)
    cfg.conv(32, 1, groups=4)
    cfg.conv(32, 5, groups=32, activation="relu")
    cfg.head((3, 4, 5))
    cfg.route(neck)
    cfg.up(16, stage)
    cfg.conv(32, 5, groups=32)
    cfg.head((0, 1, 2))
    return cfg


ARCHITECTURES: dict[str, Callable[[], Cfg]] = {
    "yolov3-tiny": yolov3_tiny,
    "yolov3": yolov3,
    "yolov3-spp": yolov3_spp,
    "yolov4-tiny": yolov4_tiny,
    "yolov4-tiny-3l": yolov4_tiny_3l,
    "yolov4": yolov4,
    "yolov4-csp": yolov4_csp,
    "yolo-fastest": yolo_fastest,
}


def random_values(network: Network, seed: int = 0) -> np.ndarray:
    """Weights that keep the size of what flows through: He's initialization, variance near 1."""
    random = np.random.default_rng(seed)
    parts = []
    for layer in network.layers:
        if not isinstance(layer, Convolutional):
            continue
        filters = layer.shape.channels
        inputs = layer.channels // layer.groups * layer.size**2
        parts.append(random.normal(0, 0.1, filters))
        if layer.batch_normalize:
            parts.append(random.uniform(0.8, 1.2, filters))
            parts.append(random.normal(0, 0.1, filters))
            parts.append(random.uniform(0.5, 1.5, filters))
        parts.append(random.normal(0, np.sqrt(2 / inputs), filters * inputs))
    return np.concatenate(parts).astype("<f4")


def write_weights(
    path: Path, values: np.ndarray, version: tuple[int, int, int] = (0, 2, 5)
) -> Path:
    """Write a weights file as Darknet of that version does."""
    seen = np.array([32013312], "<i8" if version[0] * 10 + version[1] >= 2 else "<i4")
    path.write_bytes(np.array(version, "<i4").tobytes() + seen.tobytes() + values.tobytes())
    return path
