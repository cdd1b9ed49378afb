"""What a configuration may say of accelerators, and what is told before anything runs."""

import pytest
from support.config_files import CAMERA, only, problems_of, write_file
from support.stand_in import write_twins

from edge_detect.service.config.load import load_settings


@pytest.fixture
def twins(tmp_path):
    return write_twins(tmp_path)


def detector(model, accelerator, name="fast", camera="yard") -> str:
    return (
        f'[detectors.{name}]\nmodel = "{model}"\naccelerator = "{accelerator}"\n'
        f'[cameras.{camera}]\nsource = "synthetic://"\ndetector = "{name}"\n'
    )


def test_an_accelerator_that_does_not_exist_is_one_error_with_the_list(tmp_path):
    path = write_file(tmp_path, detector("yolov3-tiny-coco", "npu"))
    line, key, fact, hint = only(problems_of(path))
    assert (line, key) == (3, "detectors.fast.accelerator")
    assert "is no accelerator" in fact
    assert "edgetpu:usb" in hint


def test_every_accelerator_is_kept_as_it_is_said(tmp_path, twins):
    path = write_file(tmp_path, detector(twins, "edgetpu:USB:1"))
    assert load_settings(path, {}).detectors["fast"].accelerator == "edgetpu:usb:1"


def test_a_model_without_a_twin_is_told_before_it_is_asked_for(tmp_path):
    path = write_file(tmp_path, detector("yolov3-tiny-coco", "edgetpu"))
    assert "is not compiled for an Edge TPU" in only(problems_of(path))[2]
    path = write_file(tmp_path, CAMERA.replace("coco", "coco?accelerator=edgetpu:0"))
    assert "is not compiled for an Edge TPU" in only(problems_of(path))[2]


def test_options_behind_a_model_are_checked(tmp_path):
    path = write_file(tmp_path, CAMERA.replace("coco", "coco?acelerator=gpu"))
    assert "unknown option 'acelerator'" in only(problems_of(path))[2]


def test_cores_that_are_not_there_are_told(tmp_path):
    text = detector("yolov3-tiny-coco", "cpu").replace("[cameras", "cores = [900]\n[cameras")
    line, _, fact, hint = only(problems_of(write_file(tmp_path, text)))
    assert line == 4
    assert "got [900]" in fact
    assert "use some of 0" in hint


@pytest.mark.parametrize(
    ("one", "other", "clash"),
    [
        ("edgetpu", "edgetpu", True),
        ("edgetpu:0", "edgetpu", True),
        ("edgetpu:usb", "edgetpu:0", True),
        ("edgetpu:usb:0", "edgetpu:usb:0", True),
        ("edgetpu:0", "edgetpu:1", False),
        ("edgetpu:usb", "edgetpu:pci", False),
        ("edgetpu:usb:0", "edgetpu:usb:1", False),
        ("edgetpu", "auto", False),
        ("edgetpu", "cpu", False),
    ],
)
def test_two_models_cannot_have_one_edge_tpu(tmp_path, twins, one, other, clash):
    (tmp_path / "more").mkdir()
    second = write_twins(tmp_path / "more", "other")
    text = detector(twins, one) + detector(second, other, "slow", "door")
    path = write_file(tmp_path, text)
    if clash:
        _, key, fact, hint = only(problems_of(path))
        assert key == "detectors.slow"
        assert "detectors.fast wants the same Edge TPU" in fact
        assert "edgetpu:1" in hint
    else:
        load_settings(path, {})


def test_cameras_that_share_a_model_share_its_edge_tpu(tmp_path, twins):
    camera = '[cameras.door]\nsource = "synthetic://"\ndetector = "fast"\n'
    path = write_file(tmp_path, detector(twins, "edgetpu") + camera)
    assert len(load_settings(path, {}).cameras) == 2
