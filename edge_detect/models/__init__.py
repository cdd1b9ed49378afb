"""From an image to detections: manifests, runtime, pre- and post-processing.

Names are imported when they are first used: listing models needs no OpenCV, no kernels and
no runtime.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edge_detect.models.catalogue import (
        CatalogueEntry,
        Verification,
        bundled_models,
        find_model,
        list_models,
        model_names,
        verify,
    )
    from edge_detect.models.detector import Detector
    from edge_detect.models.download import pull
    from edge_detect.models.opening import load_model
    from edge_detect.models.preprocess import InputBuffer
    from edge_detect.models.runtime import default_threads
    from edge_detect.models.spec import ModelSpec, read_manifest
    from edge_detect.models.tensors import TensorInfo, Thresholds

__all__ = [
    "CatalogueEntry",
    "Detector",
    "InputBuffer",
    "ModelSpec",
    "TensorInfo",
    "Thresholds",
    "Verification",
    "bundled_models",
    "default_threads",
    "find_model",
    "list_models",
    "load_model",
    "model_names",
    "pull",
    "read_manifest",
    "verify",
]

_MODULES = {
    "CatalogueEntry": "catalogue",
    "Detector": "detector",
    "InputBuffer": "preprocess",
    "ModelSpec": "spec",
    "TensorInfo": "tensors",
    "Thresholds": "tensors",
    "Verification": "catalogue",
    "bundled_models": "catalogue",
    "default_threads": "runtime",
    "find_model": "catalogue",
    "list_models": "catalogue",
    "load_model": "opening",
    "model_names": "catalogue",
    "pull": "download",
    "read_manifest": "spec",
    "verify": "catalogue",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
