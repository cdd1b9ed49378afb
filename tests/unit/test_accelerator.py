"""What users may say a model is to run on."""

import os
import re
from pathlib import Path

import numpy as np
import pytest
from support.echo_models import write_model

from edge_detect.core import AcceleratorError, ConfigError, ModelError
from edge_detect.models import load_model
from edge_detect.models.accelerator import Accelerator, parse_accelerator
from edge_detect.models.edge_tpu import choose_devices, explain_absence
from edge_detect.models.options import LoadOptions, find_with_options, parse_cores


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("auto", Accelerator("auto")),
        ("cpu", Accelerator("cpu")),
        ("GPU", Accelerator("gpu")),
        ("edgetpu", Accelerator("edgetpu")),
        ("edgetpu:usb", Accelerator("edgetpu", "usb")),
        ("edgetpu:pci", Accelerator("edgetpu", "pci")),
        ("edgetpu:2", Accelerator("edgetpu", "", 2)),
        ("edgetpu:pci:1", Accelerator("edgetpu", "pci", 1)),
    ],
)
def test_every_way_to_name_an_accelerator_is_understood_and_said_back(text, meant):
    assert parse_accelerator(text) == meant
    assert str(meant) == text.lower()


@pytest.mark.parametrize("text", ["", "tpu", "edgetpu:", "edgetpu:usb:", "edgetpu:-1", "gpu:0"])
def test_anything_else_is_refused_with_the_list(text):
    with pytest.raises(ConfigError, match="no accelerator") as caught:
        parse_accelerator(text)
    assert "edgetpu:usb" in caught.value.hint


def test_options_may_follow_the_name_of_a_model(tmp_path):
    path = write_model(tmp_path)
    entry, options = find_with_options(
        f"{path}?accelerator=edgetpu:1&threads=2&deadline_s=0.5&library=/lib/x.so&cores=0,2-3",
        LoadOptions(),
    )
    assert entry.name == "echo"
    assert options == LoadOptions(
        Accelerator("edgetpu", "", 1), "/lib/x.so", 0.5, 2, (0, 2, 3), None
    )


def test_what_is_said_beside_the_name_goes_before_what_is_said_in_it(tmp_path):
    path = write_model(tmp_path)
    _, options = find_with_options(f"{path}?threads=2&accelerator=gpu", LoadOptions(threads=1))
    assert (options.threads, options.accelerator) == (1, Accelerator("gpu"))


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("thread=2", "unknown option 'thread'"),
        ("threads=0", "whole number from 1"),
        ("deadline_s=soon", "number above 0"),
        ("accelerator=npu", "no accelerator 'npu'"),
        ("cores=1-", "such as 0,2-3"),
    ],
)
def test_impossible_options_are_refused(tmp_path, query, says):
    with pytest.raises(ConfigError, match=says):
        load_model(f"{write_model(tmp_path)}?{query}")


def test_a_file_whose_name_holds_a_question_mark_is_that_file(tmp_path):
    path = write_model(tmp_path, name="why")
    odd = tmp_path / "why?.tflite"
    path.rename(odd)
    path.with_suffix(".toml").rename(tmp_path / "why?.toml")
    with pytest.raises(ModelError, match=r"why\?\.toml"):
        load_model(str(odd))


def test_cores_may_be_a_range():
    assert parse_cores("0") == (0,)
    assert parse_cores("1, 3-5") == (1, 3, 4, 5)


def test_cores_that_are_not_there_are_named(tmp_path):
    with pytest.raises(ConfigError, match="cores 4095 are not all there"):
        load_model(write_model(tmp_path), cores=[4095])


def test_an_inference_keeps_to_the_cores_and_nothing_else_does(tmp_path, monkeypatch):
    before = os.sched_getaffinity(0)
    with load_model(write_model(tmp_path), cores=[min(before)]) as detector:
        session = detector.lanes.engine.session
        invoke, seen = session.invoke, []
        monkeypatch.setattr(
            session, "invoke", lambda: (seen.append(os.sched_getaffinity(0)), invoke())
        )
        detector(np.zeros((8, 8, 3), np.uint8))
        assert seen == [{min(before)}]
        assert os.sched_getaffinity(0) == before


@pytest.mark.parametrize(
    ("wanted", "chosen"),
    [
        ("edgetpu", ["usb:0", "usb:1", "pci:0"]),
        ("edgetpu:usb", ["usb:0", "usb:1"]),
        ("edgetpu:pci", ["pci:0"]),
        ("edgetpu:1", ["usb:1"]),
        ("edgetpu:usb:1", ["usb:1"]),
        ("auto", ["usb:0", "usb:1", "pci:0"]),
    ],
)
def test_of_several_edge_tpus_those_are_taken_that_are_wanted(wanted, chosen):
    assert choose_devices(parse_accelerator(wanted), ["usb:0", "usb:1", "pci:0"]) == chosen


def test_an_edge_tpu_that_is_not_there_is_refused_with_those_that_are():
    with pytest.raises(AcceleratorError, match="no edgetpu:usb:1") as caught:
        choose_devices(parse_accelerator("edgetpu:usb:1"), ["usb:0"])
    assert "edgetpu:usb:0" in caught.value.hint


def add_usb(root, *, node=True, mode=0o666):
    device = root / "sys/bus/usb/devices/2-1"
    device.mkdir(parents=True)
    for name, text in {
        "idVendor": "18d1", "idProduct": "9302", "busnum": "2", "devnum": "3", "speed": "5000"
    }.items():  # fmt: skip
        (device / name).write_text(text)
    if node:
        path = root / "dev/bus/usb/002/003"
        path.parent.mkdir(parents=True)
        path.touch(mode)


def add_pci(root, *, driver=False):
    device = root / "sys/bus/pci/devices/0000:01:00.0"
    device.mkdir(parents=True)
    (device / "vendor").write_text("0x1ac1")
    (device / "device").write_text("0x089a")
    if driver:
        (device / "driver").symlink_to("../../../bus/pci/drivers/apex")


def test_without_any_edge_tpu_users_hear_where_to_plug_one_in(tmp_path):
    error = explain_absence(tmp_path)
    assert error.message == "there is no Edge TPU, neither on USB nor on PCI Express"
    assert "USB 3" in error.hint


def test_an_edge_tpu_whose_device_file_is_gone_may_not_be_opened(tmp_path):
    add_usb(tmp_path, node=False)
    error = explain_absence(tmp_path)
    assert "may not be opened" in error.message
    assert "plugdev" in error.hint


def test_an_edge_tpu_on_pci_express_without_driver_asks_for_it(tmp_path):
    add_pci(tmp_path)
    error = explain_absence(tmp_path)
    assert "0000:01:00.0 has no driver" in error.message
    assert "gasket-dkms" in error.hint


def test_an_edge_tpu_that_the_kernel_knows_and_the_library_does_not_may_be_taken(tmp_path):
    add_usb(tmp_path)
    assert "does not answer" in explain_absence(tmp_path).message


def test_a_model_without_a_twin_is_refused_for_an_edge_tpu(tmp_path):
    with pytest.raises(ModelError, match="not compiled for an Edge TPU") as caught:
        load_model(write_model(tmp_path), accelerator="edgetpu")
    assert "edgetpu_compiler" in caught.value.hint


def test_every_test_that_the_table_of_faults_names_is_there():
    root = Path(__file__).parents[2]
    table = (root / "docs" / "accelerators.md").read_text().partition("## Each path")[2]
    rows = [line for line in table.splitlines() if line.startswith("| ")][2:]
    named = set(re.findall(r"`(test_\w+)`", table))
    there = set()
    for path in (root / "tests").rglob("test_*.py"):
        there |= set(re.findall(r"^def (test_\w+)", path.read_text(), re.MULTILINE))
    assert named <= there
    assert all("`test_" in row for row in rows)
