"""From a name or a path to a detector."""

import logging
from collections.abc import Sequence
from pathlib import Path

from edge_detect.models.accelerator import parse_accelerator
from edge_detect.models.catalogue import CatalogueEntry
from edge_detect.models.detector import Detector
from edge_detect.models.infer.probe import settle
from edge_detect.models.loading import Plan, choose_default, open_lanes
from edge_detect.models.options import AcceleratorLimits, LoadOptions, find_with_options
from edge_detect.models.selection import Selection
from edge_detect.models.tensors import Thresholds, override

__all__ = ["load_model", "open_entry"]

_log = logging.getLogger(__name__)


def load_model(
    name_or_path: str | Path | None = None,
    *,
    accelerator: str | None = None,
    library: str | None = None,
    deadline_s: float | None = None,
    threads: int | None = None,
    cores: Sequence[int] | None = None,
    runtime: str | None = None,
    classes: Sequence[str] | None = None,
    score_threshold: float | None = None,
    iou_threshold: float | None = None,
    max_detections: int | None = None,
    limits: AcceleratorLimits | None = None,
) -> Detector:
    """Load a model.

    Args:
        name_or_path: A name of the catalogue (`edge-detect models list`), or the path of a
            `.tflite` file: what no manifest beside it says, the file tells. Options may follow as
            in a URL, the five below and what is known better than the file says it:
            `best.tflite?threads=2&labels=names.txt&color=bgr`. By default the best of the models
            that come with the package for what it runs on: `default_model`.
        accelerator: `auto`, `edgetpu` (`edgetpu:usb`, `edgetpu:pci`, `edgetpu:0` for some of
            several), `gpu` or `cpu`; by default `auto`, which takes Edge TPUs if there are any
            and the model has a twin for them, else the CPU.
        library: Of the accelerator's delegate, name or path; by default `libedgetpu.so.1` for
            Edge TPUs, and for a GPU none, as LiteRT knows it by itself.
        deadline_s: An accelerator that takes longer for one inference has failed; by default 2.
        threads: Threads that share one inference on the CPU; by default what `edge-detect tune`
            found, else one less than the cores, at most four.
        cores: Numbers of the processor's cores that these threads keep to; by default all.
        runtime: `litert` or `tflite-runtime`; by default the first that is installed.
        classes: Labels to report; all by default.
        score_threshold: Least score reported, 0 to 1; by default the manifest's.
        iou_threshold: Overlap above which the lesser of two boxes goes; by default the
            manifest's.
        max_detections: At most so many are reported; by default the manifest's.
        limits: How long accelerators are waited for; the defaults suit slow boards.

    Raises:
        ModelError: There is no such model, or its file or manifest cannot be used.
        DependencyError: No runtime is installed, or it does not fit the other packages.
        AcceleratorError: The accelerator is missing, or does not work; says why.
        ConfigError: A class, the accelerator or the runtime is unknown.
        ValueError: A number is out of range.

    Example:
        >>> detector = load_model("yolov3-tiny-coco")
        >>> detections = detector(cv2.imread("street.jpg"))
        >>> detections[detections.scores > 0.5].names
        ['person', 'bicycle']
    """
    options = LoadOptions(
        accelerator=None if accelerator is None else parse_accelerator(accelerator),
        library=library,
        deadline_s=deadline_s,
        threads=threads,
        cores=None if cores is None else tuple(cores),
        runtime=runtime,
        limits=limits or AcceleratorLimits(),
    )
    plan, reason = None, ""
    if name_or_path is None:
        entry, plan, reason = choose_default(options)
    else:
        entry, options = find_with_options(name_or_path, options)
    if entry.inferred is not None:
        entry = settle(entry, options.runtime)
        assert entry.inferred is not None
        _log.info("model %s: %s", entry.title, entry.inferred.summary())
    return open_entry(
        entry,
        options,
        classes=classes,
        score_threshold=score_threshold,
        iou_threshold=iou_threshold,
        max_detections=max_detections,
        plan=plan,
        reason=reason,
    )


def open_entry(
    entry: CatalogueEntry,
    options: LoadOptions,
    *,
    classes: Sequence[str] | None = None,
    score_threshold: float | None = None,
    iou_threshold: float | None = None,
    max_detections: int | None = None,
    plan: Plan | None = None,
    reason: str = "",
) -> Detector:
    """Load a model that was found; as `load_model`.

    Args:
        entry: The model.
        options: How it is to be loaded.
        classes: As in `load_model`.
        score_threshold: As in `load_model`.
        iou_threshold: As in `load_model`.
        max_detections: As in `load_model`.
        plan: Where it is to run, where that is known already.
        reason: Why it was chosen; see `Detector`.
    """
    spec, nms = entry.spec, entry.spec.nms
    thresholds = override(
        Thresholds(nms.score_threshold, nms.iou_threshold, nms.max_detections, nms.multi_label),
        score_threshold,
        iou_threshold,
        max_detections,
    )
    selection = Selection(spec.name, spec.labels, classes)
    detector = Detector(spec, open_lanes(entry, options, plan), thresholds, selection, reason)
    detector.inferred, detector.title = entry.inferred, entry.title
    return detector
