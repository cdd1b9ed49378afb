"""`edge-detect models convert` and its kinds, for the command line."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from edge_detect.app.arguments import picture_size

__all__ = ["add_convert"]

if TYPE_CHECKING:
    from edge_detect.app.arguments import Commands

_FLOAT = (
    "The network becomes a float32 TFLite file, then INT8; where boxes are decoded in the graph, "
    "the decoding is removed and done by the detector. At the end both are compared on the "
    "calibration pictures."
)


def add_convert(actions: "Commands") -> None:
    """Add the action, with a parser for each kind of model."""
    convert = actions.add_parser("convert", help="convert weights or graphs of other formats")
    kinds = convert.add_subparsers(dest="kind", metavar="KIND", title="kinds", required=True)
    _add_tflite(kinds)
    _add_onnx(kinds)
    _add_saved_model(kinds)
    _add_tfjs(kinds)
    _add_darknet(kinds)
    _add_frozen_graph(kinds)
    _add_cut(kinds)


def _add_tflite(kinds: "Commands") -> None:
    tflite = kinds.add_parser(
        "tflite",
        help="from a float32 or float16 .tflite file",
        description=f"Quantize a float .tflite file of any origin. {_FLOAT} TensorFlow is not "
        "needed.",
    )
    tflite.add_argument(
        "file", metavar="FILE", help="the file; options may follow: x.tflite?color=bgr"
    )
    _add_float_options(tflite)
    tflite.set_defaults(work=("edge_detect.app.convert_float", "tflite"))


def _add_onnx(kinds: "Commands") -> None:
    onnx = kinds.add_parser(
        "onnx",
        help="from an .onnx file",
        description=f"Convert an ONNX file. {_FLOAT} The converter (onnx2tf) gets an environment "
        "of its own in the cache directory, once: 660 MB with Python 3.12 or 3.13, 2.6 GB "
        "(with TensorFlow) with Python 3.11.",
    )
    onnx.add_argument("file", metavar="FILE", help="the file; options may follow: x.onnx?color=bgr")
    _add_float_options(onnx)
    onnx.set_defaults(work=("edge_detect.app.convert_float", "onnx"))


def _add_saved_model(kinds: "Commands") -> None:
    saved = kinds.add_parser(
        "savedmodel",
        help="from a TensorFlow SavedModel",
        description=f"Convert a TensorFlow SavedModel. {_FLOAT} TensorFlow is needed: pip install "
        "'edge-detect[convert]'.",
    )
    saved.add_argument(
        "file",
        metavar="DIR",
        help="directory with saved_model.pb; options may follow: DIR?color=bgr",
    )
    _add_float_options(saved)
    saved.set_defaults(work=("edge_detect.app.convert_float", "saved_model"))


def _add_tfjs(kinds: "Commands") -> None:
    tfjs = kinds.add_parser(
        "tfjs",
        help="from a TensorFlow.js graph model",
        description=f"Convert a TensorFlow.js graph model. {_FLOAT} For an SSD of the Object "
        "Detection API, --names is required. TensorFlow is needed: pip install "
        "'edge-detect[convert]'.",
    )
    tfjs.add_argument(
        "file", metavar="DIR", help="folder with model.json, or the file; options may follow"
    )
    _add_float_options(tfjs)
    tfjs.set_defaults(work=("edge_detect.app.convert_float", "tfjs"))


def _add_darknet(kinds: "Commands") -> None:
    darknet = kinds.add_parser("darknet", help="from a Darknet .cfg and .weights")
    darknet.add_argument("--cfg", type=Path, required=True, help="network (.cfg)")
    darknet.add_argument("--weights", type=Path, required=True, help="weights (.weights)")
    darknet.add_argument("--names", type=Path, required=True, help="labels, one a line")
    darknet.add_argument(
        "--mask",
        action="append",
        default=[],
        metavar="HEAD=A,B,C",
        help="correct the anchor mask of the HEAD-th [yolo] layer (from 0), where the cfg "
        "contradicts what the weights were trained for",
    )
    _add_conversion_options(darknet)
    darknet.set_defaults(work=("edge_detect.app.convert", "darknet"))


def _add_frozen_graph(kinds: "Commands") -> None:
    ssd = kinds.add_parser(
        "ssd-frozen-graph", help="from a frozen graph of the TensorFlow Object Detection API"
    )
    ssd.add_argument("--graph", type=Path, required=True, help="frozen graph (.pb)")
    ssd.add_argument("--names", type=Path, required=True, help="labels, one a line")
    ssd.add_argument(
        "--head",
        choices=["raw", "postprocess"],
        default="raw",
        help="raw box and score outputs, or with NMS in the graph (default: raw)",
    )
    _add_conversion_options(ssd)
    ssd.set_defaults(work=("edge_detect.app.convert", "ssd_frozen_graph"))


def _add_cut(kinds: "Commands") -> None:
    cut = kinds.add_parser(
        "cut-postprocess",
        help="raw heads from an SSD .tflite with TFLite_Detection_PostProcess",
        description="Cut the TFLite_Detection_PostProcess operator off an SSD .tflite file: no "
        "limit of boxes, suppression for each class, decoding in integers. Weights stay as they "
        "are; TensorFlow is not needed.",
    )
    cut.add_argument("file", metavar="FILE", help=".tflite file, or name of a model")
    cut.add_argument("--name", help="name of the new model (default: FILE's, with -raw)")
    cut.add_argument(
        "--out", type=Path, default=Path(), metavar="DIR", help="output directory (default: .)"
    )
    cut.add_argument(
        "--labels", type=Path, metavar="FILE", help="labels, one a line (default: the manifest's)"
    )
    _add_ends(cut)
    cut.set_defaults(work=("edge_detect.app.convert", "cut_postprocess"))


def _add_float_options(parser: argparse.ArgumentParser) -> None:
    """The options of kinds whose file tells what it is."""
    parser.add_argument(
        "--names",
        type=Path,
        metavar="FILE",
        help="labels, one a line in the order of the class ids; n/a for an id without meaning "
        "(default: labels in the model file)",
    )
    parser.add_argument(
        "--size",
        type=picture_size,
        metavar="WxH",
        help="size of the input, where the model takes any",
    )
    parser.add_argument("--name", help="name of the new model (default: the file's, with -int8)")
    _add_common_options(parser)


def _add_conversion_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--name", required=True, help="name of the new model")
    _add_common_options(parser)


def _add_common_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--out", type=Path, default=Path(), metavar="DIR", help="output directory (default: .)"
    )
    parser.add_argument(
        "--calibration",
        type=Path,
        nargs="+",
        required=True,
        metavar="PATH",
        help="images, directories or videos like those that the model will see; a few ordinary, "
        "varied pictures do better than many of one kind",
    )
    _add_ends(parser)
    parser.add_argument("--float", action="store_true", help="write a float32 twin beside it")


def _add_ends(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--licence",
        help="licence of the weights, for the manifest (default: that of a manifest beside the "
        "file, else unstated)",
    )
    parser.add_argument(
        "--force", action="store_true", help="replace existing models of the same name"
    )
