"""Compare an ONNX network with its TFLite twin; run by the environment that made the twin.

`python onnx_parity.py ONNX TFLITE` prints one JSON object: the greatest difference of each output
of the ONNX network to the nearest one of the twin, in parts of the output's greatest value. Of
this project nothing is imported.
"""

import itertools
import json
import sys

import numpy as np


def main(onnx_file: str, tflite_file: str) -> None:
    """Compare two files."""
    import onnxruntime  # type: ignore[import-not-found,unused-ignore]
    from ai_edge_litert.interpreter import Interpreter

    session = onnxruntime.InferenceSession(onnx_file, providers=["CPUExecutionProvider"])
    (given,) = session.get_inputs()
    interpreter = Interpreter(model_path=tflite_file)
    interpreter.allocate_tensors()
    (image,) = interpreter.get_input_details()
    _, height, width, channels = (int(side) for side in image["shape"])
    first = channels in (1, 3) and given.shape[1] == channels and given.shape[3] != channels
    worst: dict[str, float] = {}
    for scale in (1, 255):
        pixels = np.random.default_rng(scale).random((1, height, width, channels), np.float32)
        pixels *= scale
        laid = pixels.transpose(0, 3, 1, 2) if first else pixels
        wanted = session.run(None, {given.name: np.ascontiguousarray(laid)})
        interpreter.set_tensor(image["index"], pixels)
        interpreter.invoke()
        details = interpreter.get_output_details()
        found = [interpreter.get_tensor(each["index"]) for each in details]
        for output, values in zip(session.get_outputs(), wanted, strict=True):
            distance = min((_distance(values, each) for each in found), default=np.inf)
            worst[output.name] = max(worst.get(output.name, 0.0), distance)
    sys.stdout.write(json.dumps({name: min(each, 1e9) for name, each in worst.items()}) + "\n")


def _distance(wanted: np.ndarray, found: np.ndarray) -> float:
    """The least greatest difference over all orders of the axes."""
    if wanted.size != found.size or wanted.ndim != found.ndim:
        return float("inf")
    scale = max(float(np.abs(wanted).max(initial=0)), 1e-6)
    orders = itertools.permutations(range(wanted.ndim))
    turned = (found.transpose(order) for order in orders)
    fitting = (each for each in turned if each.shape == wanted.shape)
    return min((float(np.abs(each - wanted).max()) / scale for each in fitting), default=np.inf)


if __name__ == "__main__":
    main(*sys.argv[1:])
