"""Choosing the decoder that fits a model."""

from collections.abc import Mapping

from edge_detect.core import ModelError
from edge_detect.models.anchors import Constants
from edge_detect.models.decoded import DecodedDecoder
from edge_detect.models.dfl import DflDecoder
from edge_detect.models.end_to_end import EndToEndDecoder
from edge_detect.models.fomo import FomoDecoder
from edge_detect.models.postprocess import SsdPostprocessDecoder
from edge_detect.models.spec import ModelSpec
from edge_detect.models.ssd import SsdRawDecoder
from edge_detect.models.tensors import Decoder, TensorInfo
from edge_detect.models.yolo import YoloDecoder

__all__ = ["make_decoder"]


def make_decoder(
    spec: ModelSpec, outputs: Mapping[str, TensorInfo], constants: Constants | None = None
) -> Decoder:
    """The decoder for a model; loads its kernels, so that the first frame is a fast one.

    Args:
        spec: The model's manifest.
        outputs: What the model file says about its outputs, by tensor name.
        constants: Gives constants of the model file, which some decoders need.

    Raises:
        ModelError: The outputs are not what the manifest says.
    """
    if spec.yolo is not None:
        return YoloDecoder(spec, spec.yolo, outputs)
    if spec.decoded is not None:
        if spec.decoded.classes == "index":
            return EndToEndDecoder(spec, spec.decoded, outputs)
        return DecodedDecoder(spec, spec.decoded, outputs)
    if spec.dfl is not None:
        return DflDecoder(spec, spec.dfl, outputs)
    if spec.fomo is not None:
        return FomoDecoder(spec, spec.fomo, outputs)
    if spec.ssd is None:
        raise ModelError(f"manifest of {spec.name}: the section [{spec.family}] is missing")
    if spec.head == "raw":
        return SsdRawDecoder(spec, spec.ssd, outputs, constants)
    return SsdPostprocessDecoder(spec, spec.ssd, outputs)
