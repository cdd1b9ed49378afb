"""From the file alone to boxes: one object in each family's outputs is found where it is.

The input is 64 x 64 pixels, and the object is the dog from 24, 24 to 40, 40.
"""

import numpy as np
import pytest
from support.flatbuffer_writer import Scalar
from support.made_models import Op, postprocess, tensor, write_made

from edge_detect.models import find_model, load_model
from edge_detect.models.accelerator import Accelerator
from edge_detect.models.infer.probe import settle
from edge_detect.models.infer.trial import try_choices
from edge_detect.models.opening import open_entry
from edge_detect.models.options import LoadOptions

LABELS = "cat\ndog\n"
BOX = [24, 24, 40, 40]
CENTRE = np.array([32, 32, 16, 16.0])
# The cell with its centre in the grid of stride 16, which has 4 x 4 cells.
CELL = (2, 2)


def found_in(path, labels=LABELS):
    path.with_suffix(".txt").write_text(labels)
    with load_model(path, accelerator="cpu") as detector:
        picture = np.zeros((detector.input_size.height, detector.input_size.width, 3), np.uint8)
        return detector(picture)


@pytest.fixture
def find(tmp_path):
    def run(outputs, size=64, labels=LABELS, **others):
        image = tensor("image", (1, size, size, 3))
        return found_in(write_made(tmp_path / "m.tflite", [image], outputs, **others), labels)

    return run


def check(found, box=BOX, tolerance=0.6):
    assert found.names == ["dog"]
    assert found.boxes[0] == pytest.approx(box, abs=tolerance)


def columns(unit, dtype="float32", zero_point=0):
    values = np.zeros((1, 6, 84))
    values[0, :4, :] = np.reshape(CENTRE / unit, (4, 1)) * 0.5
    values[0, :4, 70] = CENTRE / unit
    values[0, 5, 70] = 0.9
    if dtype == "float32":
        return tensor("o", values.shape, values=values)
    return tensor("o", values.shape, dtype, 1 / 240, zero_point, values=values)


@pytest.mark.parametrize(
    ("unit", "dtype", "zero_point"),
    [(1, "float32", 0), (64, "float32", 0), (64, "int8", -120), (64, "uint8", 8)],
)
def test_yolov8(find, unit, dtype, zero_point):
    check(find([columns(unit, dtype, zero_point)]))


def test_yolov8_transposed(find):
    values = np.swapaxes(np.array(columns(1).values), 1, 2)
    check(find([tensor("o", values.shape, values=values)]))


def test_yolov5(find):
    values = np.zeros((1, 252, 7))
    values[0, :, :4] = CENTRE / 64 / 2
    values[0, 9] = [*CENTRE / 64, 0.95, 0.01, 0.95]
    check(find([tensor("o", values.shape, values=values)]))


def test_yolox(find):
    values = np.zeros((1, 84, 7))
    values[0, :, :4] = CENTRE / 2
    values[0, 9] = [*CENTRE, 0.95, 0.01, 0.95]
    check(find([tensor("o", values.shape, values=values)]))


def test_end_to_end(find):
    values = np.zeros((1, 30, 6))
    values[0, :, :4] = np.array(BOX) / 2
    values[0, 0] = [*BOX, 0.9, 1]
    check(find([tensor("o", values.shape, values=values)]))


def test_boxes_and_scores_apart(find):
    boxes, scores = np.zeros((1, 4, 84)), np.zeros((1, 2, 84))
    boxes[0, :, 70], scores[0, 1, 70] = CENTRE, 0.9
    boxes[0, :, :70] = 20
    outputs = [tensor("s", scores.shape, values=scores), tensor("b", boxes.shape, values=boxes)]
    check(find(outputs))


def test_class_numbers(find):
    boxes, scores, ids = np.zeros((1, 84, 4)), np.zeros((1, 84)), np.zeros((1, 84))
    boxes[0], scores[0, 70], ids[0, 70] = BOX, 0.9, 1
    outputs = [
        tensor("b", boxes.shape, values=boxes),
        tensor("s", scores.shape, values=scores),
        tensor("i", ids.shape, "int32", values=ids),
    ]
    check(find(outputs))


def test_detr(find):
    boxes, scores = np.full((1, 50, 4), 0.1), np.full((1, 50, 2), -6.0)
    boxes[0, 3], scores[0, 3, 1] = CENTRE / 64, 3
    outputs = [tensor("s", scores.shape, values=scores), tensor("b", boxes.shape, values=boxes)]
    check(find(outputs))


@pytest.mark.parametrize("split", [False, True])
@pytest.mark.parametrize("flat", [False, True])
def test_raw_yolov8(find, split, flat):
    outputs = []
    for stride in (8, 16, 32):
        side = 64 // stride
        boxes = np.zeros((1, side, side, 64))
        classes = np.full((1, side, side, 2), -9.0)
        if stride == 32:
            # From the centre of cell 0, at 16, a quarter of a cell to each side.
            logits = np.full((4, 16), -30.0)
            logits[:, 0], logits[:, 1] = np.log(3), 0
            boxes[0, 0, 0], classes[0, 0, 0, 1] = logits.ravel(), 4
        joined = [boxes, classes] if split else [np.concatenate([boxes, classes], axis=-1)]
        for number, values in enumerate(joined):
            shape = (1, side * side, values.shape[-1]) if flat else values.shape
            outputs.append(tensor(f"o{stride}{number}", shape, values=values.reshape(shape)))
    check(find(outputs), [8, 8, 24, 24])


def test_nanodet(find):
    """Four grids: distances begin at the corner of the cell, at 32."""
    values = np.zeros((1, 64 + 16 + 4 + 1, 2 + 32))
    logits = np.full((4, 8), -30.0)
    logits[:, 1] = 0
    values[0, 64 + 2 * 4 + 2] = [0.0, 0.9, *logits.ravel()]
    check(find([tensor("o", values.shape, values=values)]), [16, 16, 48, 48])


def test_fomo(find):
    values = np.zeros((1, 8, 8, 3))
    values[..., 0] = 1
    values[0, 3, 3] = values[0, 3, 4] = values[0, 4, 3] = values[0, 4, 4] = [0.05, 0, 0.95]
    check(find([tensor("o", values.shape, values=values)]), [24, 24, 40, 40])


def grid(side, cell, values, others):
    made = np.full((1, side, side, 3, 7), others)
    made[0, cell[1], cell[0], 0] = values
    return made.reshape(1, side, side, 21)


def test_raw_grids_with_anchors_of_a_query(tmp_path):
    """The centre at the corner of a cell is half a cell before its own: t is far below 0."""
    outputs = []
    for side in (8, 4, 2):
        values = grid(side, (side // 2, side // 2), -9.0, -9.0)
        if side == 4:
            values = grid(4, CELL, [-20, -20, 0, 0, 6, -6, 6], -9.0)
        outputs.append(tensor(f"o{side}", values.shape, values=values))
    path = write_made(tmp_path / "m.tflite", [tensor("image", (1, 64, 64, 3))], outputs)
    path.with_suffix(".txt").write_text(LABELS)
    anchors = "4,4,5,5,6,6,16,16,20,20,24,24,30,30,40,40,50,50"
    with load_model(f"{path}?anchors={anchors}", accelerator="cpu") as detector:
        check(detector(np.zeros((64, 64, 3), np.uint8)))


def test_raw_yolox(find):
    values = np.zeros((1, 84, 7))
    values[0, 64 + 4 * CELL[1] + CELL[0]] = [0, 0, 0, 0, 0.95, 0, 0.95]
    check(find([tensor("o", values.shape, values=values)], **convolution()))


def convolution():
    """A layer, so that the graph is not of shapes alone."""
    return {
        "constants": [
            tensor("k", (1, 1, 1, 3), values=0),
            tensor("bias", (1,), values=0),
            tensor("aside", (1, 64, 64, 1)),
        ],
        "operators": [
            Op(3, ["image", "k", "bias"], ["aside"], 1, {1: Scalar("i", 1), 2: Scalar("i", 1)})
        ],
    }


def open_rows(tmp_path, values, query=""):
    """A model of 2 classes with rows of boxes, objectness and classes."""
    output = tensor("o", values.shape, values=values)
    image = tensor("image", (1, 64, 64, 3))
    path = write_made(tmp_path / "m.tflite", [image], [output], **convolution())
    path.with_suffix(".txt").write_text(LABELS)
    return load_model(f"{path}{query}", accelerator="cpu")


def decoded_rows(objectness):
    values = np.zeros((1, 84, 7))
    values[0, :, :5] = [30, 30, 20, 20, objectness]
    values[0, 9] = [*CENTRE, 1, 0.01, 0.9]
    return values


@pytest.mark.parametrize(
    ("objectness", "line"),
    [
        (1, "YOLOv6 (from a trial run), 2 labels from m.txt; guessed: rgb, 0 to 1"),
        (0, "YOLOX (from a trial run), 2 labels from m.txt; guessed: bgr, 0 to 255"),
    ],
)
def test_rows_of_decoded_boxes_without_an_exponential_are_no_raw_yolox(tmp_path, objectness, line):
    with open_rows(tmp_path, decoded_rows(objectness)) as detector:
        check(detector(np.zeros((64, 64, 3), np.uint8)))
        assert detector.inferred.summary() == line
        assert detector.spec.yolo is None
        assert detector.inferred.questions == ()


def test_logarithms_of_sizes_make_a_raw_yolox_certain(tmp_path):
    values = np.zeros((1, 84, 7))
    values[0, :, 2:4] = -0.5
    with open_rows(tmp_path, values) as detector:
        assert detector.spec.yolo.coding == "linear"
        assert detector.inferred.summary().startswith("YOLOX with raw boxes (from a trial run)")
    values[:] = 0
    with open_rows(tmp_path, values) as detector:
        assert detector.inferred.summary().startswith("2 labels from m.txt; guessed: YOLOX with")


def test_photos_try_the_input_of_a_guessed_raw_yolox_but_no_coding_with_anchors(tmp_path):
    with open_rows(tmp_path, np.zeros((1, 84, 7))):
        entry = settle(find_model(tmp_path / "m.tflite"))
    cpu = LoadOptions(accelerator=Accelerator("cpu"))
    photos = [np.zeros((64, 64, 3), np.uint8)]
    trial = try_choices(entry, photos, lambda each: open_entry(each, cpu))
    tried = {key for attempt in trial.attempts for key in attempt.values}
    assert tried == {"input.mean", "input.std", "input.color", "input.resize"}


def test_a_raw_yolox_that_is_asked_for_is_not_looked_into(tmp_path):
    with open_rows(tmp_path, decoded_rows(1), "?family=yolox-raw") as detector:
        assert detector.spec.yolo.coding == "linear"
        assert detector.inferred.summary().startswith("YOLOX with raw boxes (as asked)")


def test_raw_ssd(find):
    """Anchor 0 of the first map is a tenth of the input, in the middle of its cell."""
    boxes, scores = np.zeros((1, 1917, 4)), np.full((1, 1917, 3), -8.0)
    scores[0, 3 * (9 * 19 + 9), 2] = 4
    outputs = [tensor("b", boxes.shape, values=boxes), tensor("s", scores.shape, values=scores)]
    check(find(outputs, 300), [135, 135, 165, 165])


def test_postprocess(tmp_path):
    scores = np.zeros((20, 3))
    scores[9, 2] = 0.9
    path = write_made(tmp_path / "m.tflite", **postprocess(classes=2, scores=scores))
    middle = 300 * (0.1 + 0.8 * 9 / 19)
    box = [middle - 30, middle - 30, middle + 30, middle + 30]
    check(found_in(path), box)


def test_blazeface(find):
    boxes, scores = np.zeros((1, 896, 16)), np.full((1, 896, 1), -9.0)
    boxes[0, 2 * (8 * 16 + 8), :4] = [-4, -4, 32, 32]
    scores[0, 2 * (8 * 16 + 8)] = 5
    outputs = [tensor("r", boxes.shape, values=boxes), tensor("c", scores.shape, values=scores)]
    found = find(outputs, 128, labels="")
    assert found.names == ["face"]
    assert found.boxes[0] == pytest.approx([48, 48, 80, 80])
    assert found.keypoints.shape == (1, 6, 2)
