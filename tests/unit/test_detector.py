"""The detector as its callers see it, around a model that gives back its input."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from support.echo_models import change_manifest, write_model
from support.numbered_model import write_numbered
from support.open_size import varying_model, write_open_model

from edge_detect.core import ConfigError, ModelError, Size
from edge_detect.models import Thresholds, load_model

pytestmark = pytest.mark.model


@pytest.fixture
def detector(tmp_path):
    with load_model(write_model(tmp_path, "echo-int8"), threads=1) as detector:
        yield detector


def noise(seed, height=8, width=8):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def as_tuple(detections):
    return (detections.boxes.tolist(), detections.scores.tolist(), detections.class_ids.tolist())


def test_a_detector_says_what_it_is(detector):
    assert (detector.name, detector.labels) == ("echo", ("thing",))
    assert detector.input_size == Size(8, 8)
    assert detector.threads == 1
    assert detector.spec.family == "yolo"
    assert detector.thresholds == Thresholds(0.3, 0.5, 100)


def test_boxes_are_in_pixels_of_the_frame(detector):
    found = detector(noise(1, 480, 640), score_threshold=0.0, iou_threshold=1.0)
    assert len(found) > 0
    assert np.all(found.boxes[:, :2] >= 0)
    assert np.all(found.boxes[:, 2] <= 640)
    assert np.all(found.boxes[:, 3] <= 480)
    assert found.boxes[:, 2].max() > 320


def test_thresholds_of_a_call_hold_for_that_call_only(detector):
    image = noise(2)
    usual = as_tuple(detector(image))
    everything = detector(image, score_threshold=0.0, iou_threshold=1.0, max_detections=500)
    assert len(everything) > len(usual[1])
    assert len(detector(image, score_threshold=0.0, max_detections=2)) == 2
    assert as_tuple(detector(image)) == usual


def test_thresholds_of_loading_become_the_default(tmp_path):
    path = write_model(tmp_path)
    with load_model(path, score_threshold=0, iou_threshold=1, max_detections=7) as detector:
        assert detector.thresholds == Thresholds(0.0, 1.0, 7)
        assert len(detector(noise(3))) == 7


@pytest.mark.parametrize(
    ("option", "says"),
    [
        ({"score_threshold": 1.1}, "score_threshold must be from 0 to 1, got 1.1"),
        ({"iou_threshold": -0.1}, "iou_threshold must be from 0 to 1, got -0.1"),
        ({"score_threshold": float("nan")}, "score_threshold must be from 0 to 1, got nan"),
        ({"max_detections": 0}, "max_detections must be at least 1, got 0"),
        ({"color": "hsv"}, "color must be 'bgr' or 'rgb', got 'hsv'"),
    ],
)
def test_impossible_options_are_refused(detector, option, says):
    with pytest.raises(ValueError, match=says):
        detector(noise(1), **option)


def test_steps_and_call_agree(detector):
    image = noise(4, 30, 50)
    buffer = detector.new_buffer()
    detector.prepare(image, buffer)
    found, timings = detector.run(buffer)
    assert as_tuple(found) == as_tuple(detector(image))
    assert buffer.letterbox.frame == Size(50, 30)
    assert timings.invoke_ns > 0
    assert timings.postprocess_ns > 0
    assert timings.preprocess_ns > buffer.preprocess_ns > 0
    assert timings.detected_ns > 0


def test_a_buffer_can_be_prepared_while_another_is_run(detector):
    images = [noise(seed, 40, 60) for seed in range(20)]
    alone = [as_tuple(detector(image)) for image in images]
    buffers = [detector.new_buffer(), detector.new_buffer()]
    detector.prepare(images[0], buffers[0])
    seen = []
    with ThreadPoolExecutor(1) as other:
        for index in range(len(images)):
            following = other.submit(
                detector.prepare, images[(index + 1) % 20], buffers[(index + 1) % 2]
            )
            seen.append(as_tuple(detector.run(buffers[index % 2])[0]))
            following.result()
    assert seen == alone


def test_each_of_many_threads_gets_the_answer_to_its_own_image(detector):
    images = [noise(seed) for seed in range(40)]
    alone = [as_tuple(detector(image)) for image in images]
    with ThreadPoolExecutor(4) as pool:
        together = [as_tuple(found) for found in pool.map(detector, images)]
    assert together == alone


def test_results_outlive_the_next_inference(detector):
    image = noise(5)
    first = detector(image, score_threshold=0.0)
    before = as_tuple(first)
    detector(noise(6), score_threshold=0.0)
    assert as_tuple(first) == before


EVERYTHING = Thresholds(0.0, 1.0, 100)


def buffer_of(detector, image):
    buffer = detector.new_buffer()
    detector.prepare(image, buffer)
    return buffer


def test_frames_have_their_own_objects_in_whatever_order_they_are_collected(detector):
    buffers = [buffer_of(detector, noise(seed)) for seed in range(3)]
    alone = [as_tuple(detector.run(buffer, EVERYTHING)[0]) for buffer in buffers]
    assert alone[0] != alone[1] != alone[2] != alone[0]
    tickets = [detector.submit(buffer) for buffer in buffers]
    order = (1, 2, 0)
    found = [as_tuple(detector.collect(tickets[index], EVERYTHING)[0]) for index in order]
    assert found == [alone[index] for index in order]


def test_calls_between_the_steps_of_a_frame_leave_it_alone(detector):
    buffer = buffer_of(detector, noise(1))
    alone = as_tuple(detector.run(buffer, EVERYTHING)[0])
    ticket = detector.submit(buffer)
    other = as_tuple(detector(noise(2)))
    detector.invoke()
    assert as_tuple(detector(noise(2))) == other
    assert as_tuple(detector.collect(ticket, EVERYTHING)[0]) == alone


def test_there_are_as_many_copies_of_outputs_as_frames_were_under_way(detector):
    buffer = buffer_of(detector, noise(1))
    tickets = [detector.submit(buffer) for _ in range(2)]
    copies = {id(ticket.copy) for ticket in tickets}
    assert len(copies) == 2
    detector.collect(tickets[0])
    detector.abandon(tickets[1])
    tickets = [detector.submit(buffer) for _ in range(2)]
    assert {id(ticket.copy) for ticket in tickets} == copies


def test_copying_the_outputs_counts_as_post_processing(detector):
    ticket = detector.submit(buffer_of(detector, noise(1)))
    ticket.copy.copy_ns += 10**9
    _, timings = detector.collect(ticket)
    assert timings.invoke_ns == ticket.copy.invoke_ns
    assert 10**9 < timings.postprocess_ns < 2 * 10**9


def test_a_frame_that_was_inferred_is_decoded_although_the_model_was_closed(detector):
    buffer = buffer_of(detector, noise(1))
    alone = as_tuple(detector.run(buffer, EVERYTHING)[0])
    ticket = detector.submit(buffer)
    detector.close()
    assert as_tuple(detector.collect(ticket, EVERYTHING)[0]) == alone


def test_an_inference_that_fails_leaves_the_frame_before_it_and_the_place_alone(tmp_path):
    path = write_open_model(tmp_path, (8, 8), content=varying_model())
    with load_model(path, threads=1) as detector:
        first, bad = (
            buffer_of(detector, np.full((8, 8, 3), value, np.uint8)) for value in (9, 255)
        )
        alone = as_tuple(detector.run(first, EVERYTHING)[0])
        ticket = detector.submit(first)
        for work in (detector.submit, detector.run):
            with pytest.raises(ModelError, match="'places' changes its shape"):
                work(bad)
        assert as_tuple(detector.run(first, EVERYTHING)[0]) == alone
        assert as_tuple(detector.collect(ticket, EVERYTHING)[0]) == alone


def test_an_error_that_is_kept_does_not_keep_the_model_from_running(tmp_path):
    kept = []
    with load_model(write_numbered(tmp_path), threads=1) as detector:
        for _ in range(2):
            with pytest.raises(ModelError, match="class id 7, but the manifest has 1") as caught:
                detector(noise(1))
            kept.append(caught)


def test_the_bare_model_can_be_run_for_benchmarks(detector):
    detector(noise(1))
    before = detector.outputs()
    detector.invoke()
    assert before["head"].shape == (1, 4, 4, 12)


def test_a_closed_detector_cannot_be_used(detector):
    detector.close()
    with pytest.raises(ValueError, match="must be open"):
        detector(noise(1))


def test_only_the_wanted_classes_are_reported_and_others_do_not_crowd_them_out(tmp_path):
    """The two classes of a wider manifest share the echo: 2 anchors x (5 + 1) = 1 x (5 + 7)."""
    path = write_model(tmp_path)
    change_manifest(path, '["thing"]', '["a", "b", "c", "d", "e", "f", "g"]')
    change_manifest(path, "[[2, 2], [4, 4]]", "[[2, 2]]")
    options = {"score_threshold": 0.0, "iou_threshold": 1.0}
    image = noise(7)
    with load_model(path, **options) as detector:
        everything = detector(image, max_detections=500)
    wanted = everything[np.isin(everything.class_ids, [1, 4])]
    assert 3 < len(wanted) < len(everything)
    with load_model(path, classes=["e", "b"], max_detections=3, **options) as detector:
        assert as_tuple(detector(image)) == as_tuple(wanted[:3])


def test_an_unknown_class_suggests_the_nearest(tmp_path):
    with pytest.raises(ConfigError, match="model 'echo' has no class 'thin'") as caught:
        load_model(write_model(tmp_path), classes=["thin"])
    assert "'thing'" in caught.value.hint


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("size = [8, 8]", "size = [8, 16]", r"echo.toml: input.size: 8x16 needs an input"),
        ('joined = "head"', 'joined = "tail"', "echo.toml: .*'tail'"),
        ('["thing"]', '["thing", "other"]', r"echo.toml: .*"),
        ("stride = 2", "stride = 4", r"echo.toml: .*"),
        ("size = [8, 8]", "sise = [8, 8]", r"echo.toml: input.sise: "),
        ('head = "raw"', 'head = "postprocess"', r"echo.toml: .*head 'postprocess'"),
        ("[nms]", "[nms", r"echo.toml is not valid TOML"),
        ('name = "echo"', 'name = "other"', r"echo.toml: name: it is 'other', not 'echo'"),
        ('"echo.tflite"', '"else.tflite"', r"echo.toml: file: it is 'else.tflite'"),
    ],
)
def test_a_manifest_that_does_not_fit_names_file_and_fault(tmp_path, old, new, says):
    path = write_model(tmp_path)
    change_manifest(path, old, new)
    with pytest.raises(ModelError, match=says):
        load_model(path)


@pytest.mark.parametrize("model", ["edgetpu-custom-op"])
def test_a_model_for_an_edge_tpu_names_the_twin_of_its_manifest(tmp_path, model):
    path = write_model(tmp_path, model, top='cpu_twin = "plain"')
    with pytest.raises(ModelError, match="compiled for an Edge TPU") as caught:
        load_model(path, accelerator="cpu")
    assert "as plain.tflite" in caught.value.hint


@pytest.mark.parametrize("damage", ["cut", "changed"])
def test_a_file_with_the_wrong_content_is_never_loaded(tmp_path, damage):
    path = write_model(tmp_path)
    content = path.read_bytes()
    path.write_bytes(content[:-8] if damage == "cut" else content[:-1] + b"?")
    with pytest.raises(ModelError, match=r"truncated or was changed: sha256 is") as caught:
        load_model(path)
    assert str(path) in caught.value.message


def test_a_path_to_the_manifest_is_as_good_as_one_to_the_model(tmp_path):
    path = write_model(tmp_path)
    with load_model(str(path)) as one, load_model(path.with_suffix(".toml")) as other:
        assert one.spec == other.spec
