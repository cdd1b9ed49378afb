"""More small networks with the layers and the topology of Darknet detectors.

As in `darknet_networks`: the pattern of one architecture each, with widths and repeats reduced.
"""

from collections.abc import Callable

from support.darknet_networks import CLASSES, Cfg


def region(cfg: Cfg, anchors: int = 2) -> None:
    """Append the last convolution and the head of a YOLOv2."""
    filters = anchors * (5 + CLASSES)
    cfg.add("convolutional", filters=filters, size=1, stride=1, pad=1, activation="linear")
    sizes = ",  ".join(f"{0.5 + i},{0.7 + i}" for i in range(anchors))
    cfg.add(
        "region", anchors=sizes, bias_match=1, classes=CLASSES, coords=4, num=anchors, softmax=1,
        rescore=0, thresh=".6", absolute=1,
    )  # fmt: skip


def yolov2() -> Cfg:
    """Finer cells, reorganized, join the coarse ones."""
    cfg = Cfg(96)
    for filters in (8, 12, 16):
        cfg.conv(filters)
        cfg.pool(2, 2)
    fine = cfg.conv(24)
    cfg.pool(2, 2)
    cfg.conv(32)
    coarse = cfg.conv(24)
    cfg.route(fine)
    cfg.conv(8, 1)
    cfg.add("reorg", stride=2)
    cfg.route(-1, coarse)
    cfg.conv(32)
    region(cfg)
    return cfg


def yolov2_tiny() -> Cfg:
    cfg = Cfg(64)
    for filters in (8, 12, 16):
        cfg.conv(filters)
        cfg.pool(2, 2)
    cfg.conv(24)
    cfg.pool(2, 1)
    cfg.conv(32)
    region(cfg, 3)
    return cfg


def yolov3_tiny_prn() -> Cfg:
    """Shortcuts between layers of unequal channels, in both directions."""
    cfg = Cfg(64)
    for filters in (8, 12):
        cfg.conv(filters)
        cfg.pool(2, 2)
    deep = cfg.conv(24)
    cfg.pool(2, 2)
    cfg.conv(32)
    cfg.conv(24)
    cfg.add("shortcut", activation="leaky", from_=-2)
    cfg.conv(16, 1)
    cfg.add("shortcut", activation="leaky", from_=-2)
    cfg.head((3, 4, 5))
    cfg.route(-4)
    cfg.conv(32, 1)
    cfg.add("upsample", stride=2)
    cfg.add("shortcut", activation="leaky", from_=deep)
    cfg.conv(16)
    cfg.head((1, 2, 3))
    return cfg


def squeeze(cfg: Cfg, filters: int, activation: str) -> None:
    """Append a squeeze-and-excitation block."""
    cfg.add("avgpool")
    cfg.add("convolutional", filters=filters // 4, size=1, stride=1, activation=activation)
    cfg.add("convolutional", filters=filters, size=1, stride=1, activation="logistic")
    cfg.add("scale_channels", from_=-4)


def efficientnet() -> Cfg:
    """Inverted bottlenecks with swish and squeeze-and-excitation."""
    cfg = Cfg(96, "swish")
    cfg.conv(8, 3, 2)
    for filters, stride in ((8, 2), (12, 2), (16, 2)):
        wide = 4 * filters
        for number in range(2):
            cfg.conv(wide, 1)
            cfg.conv(wide, 3, 1 if number else stride, groups=wide)
            squeeze(cfg, wide, "swish")
            cfg.conv(filters, 1, activation="linear")
        cfg.add("dropout", probability=".2")
        cfg.add("shortcut", from_=-9, activation="linear")
    cfg.conv(24, 1, activation="leaky")
    cfg.head((0, 1, 2), anchors=3)
    return cfg


def attention() -> Cfg:
    """A spatial attention module, and a squeeze with ReLU."""
    cfg = Cfg(64)
    cfg.conv(8, 3, 2, activation="mish")
    cfg.conv(16, 3, 2, activation="relu")
    squeeze(cfg, 16, "relu")
    before = cfg.conv(16)
    cfg.conv(16, 1, activation="logistic")
    cfg.add("sam", from_=before)
    cfg.conv(16, 3, 2, activation="tanh")
    cfg.head((0, 1, 2), anchors=3)
    return cfg


def yolov4_csp_swish() -> Cfg:
    cfg = Cfg(64, "swish")
    cfg.conv(8)
    for filters in (12, 16, 24):
        cfg.csp(filters)
    cfg.pyramid_pooling()
    cfg.conv(24, 1)
    cfg.head((0, 1, 2), anchors=3, new_coords=1, scale_x_y=2.0, max_delta=2)
    return cfg


def yolov7_tiny() -> Cfg:
    """ELAN stages, all of whose layers are joined, and Scaled-YOLOv4's coding."""
    cfg = Cfg(128)
    cfg.conv(8, 3, 2)
    cfg.conv(12, 3, 2)

    def elan(width: int, out: int) -> int:
        cfg.conv(width, 1)
        cfg.route(-2)
        cfg.conv(width, 1)
        cfg.conv(width)
        cfg.conv(width)
        cfg.route(-1, -2, -3, -5)
        return cfg.conv(out, 1)

    stages = []
    for width, out in ((8, 12), (12, 16), (16, 24)):
        stages.append(elan(width, out))
        cfg.pool(2, 2)
    stages.append(elan(24, 32))
    cfg.conv(16, 1)
    cfg.pyramid_pooling()
    cfg.conv(16, 1)
    cfg.route(-1, -8)
    top = cfg.conv(24, 1)
    cfg.conv(16, 1)
    cfg.add("upsample", stride=2)
    enlarged = cfg.count - 1
    cfg.route(stages[2])
    cfg.conv(16, 1)
    cfg.route(-1, enlarged)
    middle = elan(12, 16)
    cfg.conv(24)
    options = {"anchors": 6, "new_coords": 1, "scale_x_y": 2.0, "objectness_smooth": 1}
    cfg.head((0, 1, 2), **options)
    cfg.route(middle)
    cfg.conv(24, 3, 2)
    cfg.route(-1, top)
    elan(16, 24)
    cfg.conv(32)
    cfg.head((3, 4, 5), **options)
    return cfg


VARIANTS: dict[str, Callable[[], Cfg]] = {
    "yolov2": yolov2,
    "yolov2-tiny": yolov2_tiny,
    "yolov3-tiny-prn": yolov3_tiny_prn,
    "efficientnet": efficientnet,
    "attention": attention,
    "yolov4-csp-swish": yolov4_csp_swish,
    "yolov7-tiny": yolov7_tiny,
}
