"""Compare an ONNX network with its TFLite twin; run by the environment that made the twin.

`python onnx_parity.py ONNX TFLITE` prints one JSON object: the greatest difference of each output
of the ONNX network to the nearest one of the twin, in parts of the output's greatest value; 1e9
where none has its values or not all are finite. Of this project nothing is imported.
"""

import itertools
import json
import sys

import numpy as np

_NOT_COMPARABLE = 1e9
_TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16}


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
        # Both get the same values, also where one of them takes 16 bits.
        pixels = (pixels * scale).astype(_TYPES[given.type])
        laid = pixels.transpose(0, 3, 1, 2) if first else pixels
        wanted = session.run(None, {given.name: np.ascontiguousarray(laid)})
        interpreter.set_tensor(image["index"], pixels.astype(image["dtype"]))
        interpreter.invoke()
        details = interpreter.get_output_details()
        found = [interpreter.get_tensor(each["index"]) for each in details]
        for output, values in zip(session.get_outputs(), wanted, strict=True):
            worst[output.name] = max(worst.get(output.name, 0.0), nearest(values, found))
    sys.stdout.write(json.dumps(worst) + "\n")


def nearest(wanted: np.ndarray, found: list[np.ndarray]) -> float:
    """The difference of an output to the nearest of those of the twin."""
    return min((_distance(wanted, each) for each in found), default=_NOT_COMPARABLE)


def _distance(wanted: np.ndarray, found: np.ndarray) -> float:
    """The least greatest difference over all orders of the axes."""
    if wanted.size != found.size or wanted.ndim != found.ndim:
        return _NOT_COMPARABLE
    # A difference to NaN is NaN, which is less than nothing: it would pass.
    if not (np.isfinite(wanted).all() and np.isfinite(found).all()):
        return _NOT_COMPARABLE
    wanted, found = wanted.astype(np.float64), found.astype(np.float64)
    scale = max(float(np.abs(wanted).max(initial=0)), 1e-6)
    orders = itertools.permutations(range(wanted.ndim))
    turned = (found.transpose(order) for order in orders)
    fitting = (each for each in turned if each.shape == wanted.shape)
    worst = (float(np.abs(each - wanted).max(initial=0)) / scale for each in fitting)
    return min(min(worst, default=_NOT_COMPARABLE), _NOT_COMPARABLE)


if __name__ == "__main__":
    main(*sys.argv[1:])
