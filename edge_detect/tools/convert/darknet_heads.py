"""The heads of a Darknet cfg: [yolo] and [region]."""

from edge_detect.core import Size
from edge_detect.tools.convert.darknet_layers import Convolutional, Shape, Yolo
from edge_detect.tools.convert.darknet_sections import Section

__all__ = ["read_head"]

_Pairs = list[tuple[float, float]]
# The default of Darknet's parser.
_CLASSES = 20


def read_head(
    section: Section,
    source: int,
    feeder: Convolutional,
    size: Size,
    corrected: tuple[int, ...] | None,
) -> Yolo:
    """Read a [yolo] or a [region].

    Args:
        section: The section.
        source: Index of the layer before it.
        feeder: That layer.
        size: Of the network's input.
        corrected: The mask, in place of what the cfg says.

    Raises:
        ModelError: An option is missing or impossible, or does not fit the layer before.
    """
    classes = section.integer("classes", _CLASSES, least=1)
    region = section.kind == "region"
    pairs = _pairs(section)
    mask = _mask(section, len(pairs), corrected)
    _check_feeder(section, feeder, len(mask), classes)
    if region and not section.flag("softmax"):
        raise section.error(
            "needs softmax=1: versions of Darknet differ in what class scores are without it",
            key="softmax",
        )
    stride = _stride(section, feeder.shape, size)
    # A [region] has its anchors in cells.
    unit = stride if region else 1
    return Yolo(
        line=section.line,
        sources=(source,),
        shape=feeder.shape,
        kind=section.kind,
        mask=mask,
        anchors=tuple((unit * pairs[index][0], unit * pairs[index][1]) for index in mask),
        classes=classes,
        scale_x_y=1.0 if region else section.number("scale_x_y", 1.0),
        new_coords=not region and section.flag("new_coords"),
        softmax=region,
        stride=stride,
    )


def _check_feeder(section: Section, feeder: Convolutional, anchors: int, classes: int) -> None:
    filters = anchors * (5 + classes)
    if feeder.shape.channels != filters:
        raise section.error(
            f"needs {filters} filters, {anchors} anchors x (5 + {classes} classes), of the "
            f"[convolutional] at line {feeder.line}, which has {feeder.shape.channels}",
            "correct filters there, or mask, num and classes here",
        )
    new_coords = section.kind == "yolo" and section.flag("new_coords")
    expected = "logistic" if new_coords else "linear"
    if feeder.activation != expected:
        case = f"with new_coords={int(new_coords)} " if section.kind == "yolo" else ""
        raise section.error(
            f"{case}needs activation={expected} in the [convolutional] at line {feeder.line}, "
            f"which says {feeder.activation}"
        )


def _pairs(section: Section) -> _Pairs:
    """The anchors that Darknet takes: the first `num` of those that are given."""
    numbers = section.numbers("anchors")
    if not numbers or len(numbers) % 2 or min(numbers) <= 0:
        raise section.error("needs anchors=width,height, …, all above 0", key="anchors")
    pairs = list(zip(numbers[::2], numbers[1::2], strict=True))
    return pairs[: section.integer("num", len(pairs), least=1)]


def _mask(section: Section, anchors: int, corrected: tuple[int, ...] | None) -> tuple[int, ...]:
    mask = section.integers("mask") if corrected is None else corrected
    if not mask:
        # Without a mask, Darknet gives the head all anchors.
        count = section.integer("num", anchors)
        if count != anchors:
            raise section.error(f"says num={count} and gives {anchors} anchors", key="num")
        return tuple(range(anchors))
    if len(set(mask)) < len(mask) or not all(0 <= index < anchors for index in mask):
        words = ",".join(map(str, mask))
        raise section.error(
            f"{'says' if corrected is None else 'is given'} mask={words}; it has anchors 0 to "
            f"{anchors - 1}, each to be named once",
            key="mask",
        )
    return mask


def _stride(section: Section, grid: Shape, size: Size) -> int:
    stride = size.width // grid.columns
    if (grid.columns * stride, grid.rows * stride) != size:
        raise section.error(
            f"has a grid of {grid.columns}x{grid.rows}, which does not divide the input of {size}",
            "a [net] size that is a multiple of 32 is the usual cure",
        )
    return stride
