"""`edge-detect bench --accelerator`, with a library that stands in for that of Edge TPUs."""

import json
from time import monotonic_ns

import cv2
import numpy as np
import pytest
from support.echo_models import write_model
from support.stand_in import write_twins
from support.waiting import promptly

from edge_detect.app.cli import main
from edge_detect.core import NS_PER_MS, ConfigError
from edge_detect.models import bundled_models
from edge_detect.models.options import LoadOptions
from edge_detect.tools.bench_accelerators import find_devices, measure_accelerators, present_models

pytestmark = pytest.mark.model

TPU = "edgetpu:usb:0"
KEYS = [
    "model", "accelerator", "runtime", "threads", "open_ms", "first_invoke_ms",
    "invoke_ms", "round_trip_ms", "helper_ms", "agreement", "reason", "hint", "agreed",
]  # fmt: skip


@pytest.fixture
def twins(tmp_path):
    return write_twins(tmp_path)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """A folder with some noise, in which the tiny models find boxes."""
    folder = tmp_path_factory.mktemp("pictures")
    for number in range(4):
        noise = np.random.default_rng(number).integers(0, 256, (36, 64, 3), np.uint8)
        cv2.imwrite(str(folder / f"{number}.png"), noise)
    return folder


@pytest.fixture
def measure(pictures):
    """Measures a model with a library, on the pictures."""
    return lambda model, library, **how: measured(model, library, pictures, **how)


@pytest.fixture
def bench(pictures, stand_in):
    """The command for a model, without what it is measured on."""
    library = str(stand_in.library)
    return lambda model: [
        *("bench", "--model", str(model), "--source", str(pictures)),
        *("--library", library, "--frames", "30"),
    ]


def measured(model, library, pictures, accelerators=("all",), **how):
    """Reports by accelerator; the GPU is left to machines that have one."""
    devices = [one for one in find_devices(accelerators, str(library)) if one.name != "gpu"]
    options = LoadOptions(library=str(library), deadline_s=how.pop("deadline_s", 60.0))
    reports = measure_accelerators([str(model)], devices, pictures, options, frames=30, **how)
    return {report.accelerator: report for report in reports}


def test_a_device_that_works_finds_all_that_the_cpu_finds(twins, stand_in, measure):
    reports = measure(twins, stand_in.library)
    assert list(reports) == ["cpu", TPU]
    cpu, tpu = reports["cpu"], reports[TPU]
    assert (cpu.model, tpu.model) == ("echo", "echo")
    assert cpu.agreement is None
    assert tpu.agreement.n_reference > 10
    assert (tpu.agreed, tpu.agreement.mean_score_difference) == (1.0, 0.0)
    assert not tpu.reason


def test_opening_first_and_later_inferences_and_the_helper_are_told_apart(twins, stand_in, measure):
    stand_in.tell("invoke_ms 20")
    began_ns = monotonic_ns()
    cpu, tpu = measure(twins, stand_in.library).values()
    took_ms = (monotonic_ns() - began_ns) / NS_PER_MS
    assert cpu.first_invoke_ms > 0
    assert tpu.first_invoke_ms >= 20
    assert tpu.invoke_ms.n == tpu.round_trip_ms.n == 30
    assert 20 <= tpu.invoke_ms.median <= tpu.round_trip_ms.median
    assert tpu.helper_ms > 0
    # No time is counted twice.
    parts = [cpu.open_ms, cpu.first_invoke_ms, tpu.open_ms, tpu.first_invoke_ms]
    assert 0 < sum(parts) < took_ms - 30 * 20


def test_garbage_of_a_device_shows_in_the_agreement(twins, stand_in, measure):
    stand_in.tell("invoke garbage")
    tpu = measure(twins, stand_in.library)[TPU]
    assert tpu.invoke_ms.n == 30
    # The tiny model knows one class and few places for a box: noise meets many by chance.
    assert tpu.agreed < 0.9
    assert tpu.agreement.mean_score_difference > 0.03


def test_each_device_has_its_own_line_and_those_that_work_are_measured(twins, stand_in, measure):
    stand_in.tell("devices 3", "create refuse 1")
    reports = measure(twins, stand_in.library)
    assert list(reports) == ["cpu", TPU, "edgetpu:usb:1", "edgetpu:usb:2"]
    assert (reports[TPU].agreed, reports["edgetpu:usb:2"].agreed) == (1.0, 1.0)
    assert "cannot open usb:1" in reports["edgetpu:usb:1"].reason


@pytest.mark.parametrize(
    ("order", "reason"),
    [
        ("prepare fail", "refuses echo_edgetpu.tflite"),
        ("invoke fail", "USB transfer error"),
        ("invoke crash", "SIGSEGV"),
    ],
)
def test_a_device_that_fails_is_a_line_with_the_reason(twins, stand_in, order, reason, measure):
    stand_in.tell(order)
    reports = measure(twins, stand_in.library)
    assert reason in reports[TPU].reason
    assert reports["cpu"].invoke_ms.n == 30


@pytest.mark.parametrize("order", ["create hang", "invoke hang"])
def test_a_device_that_hangs_is_given_up_and_left_out_for_the_next_model(
    twins, stand_in, pictures, tmp_path, order
):
    stand_in.tell(order)
    (tmp_path / "more").mkdir()
    models = [str(twins), str(write_twins(tmp_path / "more", "other"))]
    options = LoadOptions(library=str(stand_in.library))
    devices = find_devices([TPU], str(stand_in.library))
    with promptly():
        reports = list(
            measure_accelerators(models, devices, pictures, options, frames=30, open_s=0.5)
        )
    assert [report.accelerator for report in reports] == ["cpu", TPU, "cpu", TPU]
    assert reports[1].reason == f"{TPU} was not ready within 0.5 s"
    assert reports[3].reason == f"left out: {TPU} was not ready within 0.5 s with echo"
    assert reports[2].invoke_ms.n == 30


def test_a_device_that_stops_answering_is_a_line_with_the_reason(twins, stand_in, measure):
    # Its first inference, which belongs to opening, may take longer than this.
    stand_in.tell("invoke_ms 200")
    reports = measure(twins, stand_in.library, deadline_s=0.02)
    assert reports[TPU].reason == f"{TPU} did not answer within 0.02 s"
    assert reports[TPU].invoke_ms is None
    assert reports["cpu"].invoke_ms.n == 30


def test_without_a_device_the_line_says_what_is_missing(twins, stand_in, measure):
    stand_in.tell("devices 0")
    report = measure(twins, stand_in.library)["edgetpu"]
    assert report.reason == "there is no Edge TPU, neither on USB nor on PCI Express"
    assert "plug it in" in report.hint
    missing = measure(twins, "/nowhere/libedgetpu.so.1")["edgetpu"]
    assert "/nowhere/libedgetpu.so.1" in missing.reason


def test_a_model_without_a_twin_says_so(tmp_path, stand_in, measure):
    report = measure(write_model(tmp_path), stand_in.library)[TPU]
    assert "is not compiled for an Edge TPU" in report.reason


def test_a_twin_alone_is_measured_without_a_comparison(twins, stand_in, measure):
    twins.unlink()
    reports = measure(twins.with_suffix(".toml"), stand_in.library)
    assert "is not here" in reports["cpu"].reason
    assert reports[TPU].invoke_ms.n == 30
    assert reports[TPU].agreement is None


def test_a_library_given_for_a_gpu_is_used_for_it(twins, stand_in, pictures):
    options = LoadOptions(library=str(stand_in.library))
    devices = find_devices(["gpu"])
    _, gpu = measure_accelerators([str(twins)], devices, pictures, options, frames=30)
    assert (gpu.accelerator, gpu.agreed) == ("gpu", 1.0)


def test_all_models_are_those_whose_file_is_here_without_twins(twins, monkeypatch):
    monkeypatch.setenv("EDGE_DETECT_MODELS", str(twins.parent))
    bundled = {entry.name for entry in bundled_models()}
    assert bundled
    assert set(present_models()) == {*bundled, "echo"}
    twins.unlink()
    assert "echo" in present_models()
    twins.with_name("echo_edgetpu.tflite").unlink()
    assert "echo" not in present_models()


def test_a_manifest_that_cannot_be_read_is_a_line_with_the_reason(
    twins, stand_in, monkeypatch, measure
):
    monkeypatch.setenv("EDGE_DETECT_MODELS", str(twins.parent))
    twins.with_name("broken.toml").write_text("name = ")
    assert "broken" in present_models()
    reports = measure("broken", stand_in.library)
    assert all("broken.toml is not valid TOML" in report.reason for report in reports.values())


@pytest.mark.parametrize("name", ["auto", "tpu", "edgetpu:pcie"])
def test_names_that_are_no_accelerator_are_refused(name):
    with pytest.raises(ConfigError, match=name):
        find_devices([name])


def test_json_has_one_object_a_line_with_the_same_keys_always(twins, stand_in, bench, capsys):
    stand_in.tell("devices 2", "create refuse 1")
    assert main([*bench(twins), "--accelerator", "edgetpu,cpu", "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["accelerator"] for row in rows] == ["cpu", TPU, "edgetpu:usb:1"]
    assert all(list(row) == KEYS for row in rows)
    assert sorted(rows[1]["invoke_ms"]) == ["median", "n", "p95", "p99"]
    assert rows[1]["agreement"]["recall"] == rows[1]["agreed"] == 1.0


def test_the_table_fits_100_columns_and_tells_figures_and_reasons(twins, stand_in, bench, capsys):
    stand_in.tell("devices 2", "create refuse 1")
    assert main([*bench(twins), "--accelerator", "edgetpu"]) == 0
    printed = capsys.readouterr().out
    lines = printed.splitlines()
    assert max(map(len, lines)) <= 100
    assert lines[2].startswith("echo  ")
    (tpu,) = [line for line in lines if line.startswith(f"  {TPU} ")]
    assert tpu.split()[-2:] == ["100.0%", "0.000"]
    assert len(tpu) == len(lines[1])
    assert "cannot open usb:1" in " ".join(printed.split())


def test_a_model_that_is_misspelt_is_an_error(capsys):
    assert main(["bench", "--model", "yolov3-tiny-cocoo", "--accelerator", "all"]) == 65
    assert "did you mean 'yolov3-tiny-coco'?" in capsys.readouterr().err


def test_nothing_measured_is_a_status_of_its_own(twins, stand_in, bench, capsys):
    twins.unlink()
    stand_in.tell("devices 0")
    command = bench(twins.with_suffix(".toml"))
    assert main([*command, "--accelerator", "edgetpu"]) == 1
    assert "is not here" in capsys.readouterr().out
