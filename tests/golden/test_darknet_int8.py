"""Darknet's layers survive quantization: none of them makes an INT8 output worthless."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from test_darknet_parity import write_network

from edge_detect.tools.convert.build import convert_to_tflite
from edge_detect.tools.convert.darknet import convert_darknet
from edge_detect.tools.convert.interpreter import open_interpreter
from edge_detect.tools.convert.quantize import QuantizerOptions, to_int8

pytestmark = [pytest.mark.convert, pytest.mark.timeout(240)]


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    """A picture with areas of many sizes, (128, 128, 3) uint8."""
    random = np.random.default_rng(5)
    image = np.zeros((128, 128, 3), np.uint8)
    for size in (2, 8, 32):
        noise = random.integers(0, 85, (128 // size, 128 // size, 3), np.uint8)
        image += cv2.resize(noise, (128, 128), interpolation=cv2.INTER_NEAREST)
    return image


@pytest.mark.parametrize("architecture", ["yolov2", "yolov3-tiny-prn", "efficientnet", "attention"])
def test_quantized_outputs_follow_those_of_the_float_network(
    architecture: str, pixels: np.ndarray, tmp_path: Path
) -> None:
    model, manifest = convert_darknet(*write_network(tmp_path, architecture))
    photo, size = tmp_path / "photo.png", tuple(model.input_size)
    assert cv2.imwrite(str(photo), pixels)
    spec = convert_to_tflite(
        model, manifest, [photo], tmp_path / "net.tflite", options=QuantizerOptions()
    )
    assert spec.yolo is not None
    assert spec.yolo.classes == ("softmax" if architecture == "yolov2" else "sigmoid")
    picture = cv2.resize(pixels, size)[np.newaxis]
    interpreter = open_interpreter((tmp_path / "net.tflite").read_bytes(), keep=False)
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], to_int8(picture))
    interpreter.invoke()
    wanted = model.function((picture / 255).astype(np.float32))
    for detail in interpreter.get_output_details():
        scale, zero = detail["quantization"]
        values = (interpreter.get_tensor(detail["index"]).astype(np.float64) - zero) * scale
        real = np.clip(wanted[detail["name"]].numpy(), (-128 - zero) * scale, (127 - zero) * scale)
        assert np.corrcoef(values.ravel(), real.ravel())[0, 1] > 0.98, detail["name"]
