"""`edge-detect doctor` as users run it, and its probes among libraries that crash or do not fit."""

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from support.waiting import HANG_S, promptly

from edge_detect.models import bundled_models
from edge_detect.tools.doctor.coral import look_at_edge_tpus
from edge_detect.tools.doctor.finding import Level
from edge_detect.tools.doctor.models import look_at_kernels
from edge_detect.tools.doctor.packages import look_at_libraries, look_at_runtimes
from edge_detect.tools.doctor.place import Place
from edge_detect.tools.doctor.probe import ProbeError, ask
from edge_detect.tools.doctor.video import look_at_cameras, look_at_encoders, look_at_gstreamer

FAKES = Path(__file__).parents[1] / "fakes"


def with_modules(folder: Path, **modules: str) -> Place:
    """This computer, with some modules replaced."""
    for name, code in modules.items():
        (folder / f"{name}.py").write_text(textwrap.dedent(code))
    return Place(environment=os.environ | {"PYTHONPATH": str(folder)})


def test_this_machine_can_run_the_product_and_the_doctor_says_so_in_json(tmp_path) -> None:
    config = tmp_path / "config.toml"
    config.write_text('[cameras.yard]\nsource = "synthetic://"\nmodel = "yolov3-tiny-coco"\n')
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "edge_detect.app.cli",
            "doctor",
            "--json",
            "--patience",
            "4",
            "--config",
            config,
        ],
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    report = json.loads(done.stdout)
    failures = [check for check in report["checks"] if check["level"] == "fail"]
    assert failures == [], failures
    assert done.returncode == 0, done.stderr
    by_what: dict[str, list[dict[str, str]]] = {}
    for check in report["checks"]:
        by_what.setdefault(check["what"], []).append(check)
    assert "fits numpy" in by_what["runtime"][0]["value"]
    assert len(by_what["inference"]) == len(bundled_models())
    assert all(" ms (" in check["value"] for check in by_what["inference"])
    assert "GStreamer" in by_what["RTSP server"][0]["value"]
    assert by_what["configuration"][0]["value"] == f"{config}, 1 camera"
    assert {"encoder", "memory", "disk", "time", "ports", "kernels"} <= by_what.keys()
    assert report["ok"] + report["warn"] == len(report["checks"])


@pytest.mark.parametrize(
    ("killer", "cause"), [("SIGILL", "instruction"), ("SIGSEGV", "native library")]
)
def test_a_library_that_crashes_is_named_with_the_likely_cause(tmp_path, killer, cause) -> None:
    place = with_modules(
        tmp_path, cv2=f"import os, signal\nos.kill(os.getpid(), signal.{killer})\n"
    )
    [finding] = look_at_libraries(place)
    assert (finding.level, finding.value) == (Level.FAIL, f"OpenCV: crashed ({killer})")
    assert cause in finding.advice


def test_a_runtime_built_for_another_numpy_is_told(tmp_path) -> None:
    place = Place(environment=os.environ | {"PYTHONPATH": str(FAKES / "runtime_for_numpy1")})
    broken = [finding for finding in look_at_runtimes(place) if finding.level is not Level.OK]
    assert len(broken) == 1
    assert "does not fit numpy" in broken[0].value
    assert "pip install 'tflite-runtime" in broken[0].advice


def test_a_probe_that_hangs_is_given_up(tmp_path) -> None:
    place = with_modules(tmp_path, cv2=f"import time\ntime.sleep({HANG_S})\n")
    with promptly(), pytest.raises(ProbeError, match="no answer within 1 s"):
        ask(place, "libraries", "OpenCV", timeout_s=1.0)


def test_what_libraries_print_does_not_spoil_the_answer(tmp_path) -> None:
    place = with_modules(
        tmp_path, numba="import os\n__version__ = '0.0'\nprint('hello')\nos.write(1, b'noise')\n"
    )
    [finding] = look_at_libraries(place)
    assert finding.value.endswith("numba 0.0")


def test_kernels_that_are_not_compiled_are_told_without_compiling_them(tmp_path) -> None:
    place = Place(environment=os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)})
    [finding] = look_at_kernels(place)
    assert (finding.level, finding.advice) == (Level.WARN, "edge-detect warmup")
    assert list(tmp_path.rglob("*.nbc")) == []


def test_encoders_and_the_rtsp_server_are_tried_for_real() -> None:
    place = Place()
    assert [finding.level for finding in look_at_gstreamer(place)] == [Level.OK]
    assert "libx264" in [*look_at_encoders(place)][-1].value


def test_gstreamer_that_is_missing_gets_its_apt_line(tmp_path) -> None:
    place = with_modules(tmp_path, gi="raise ImportError('made for a test')")
    [finding] = look_at_gstreamer(place)
    assert finding.level is Level.FAIL
    assert finding.advice


def test_a_usb_camera_is_listed_with_its_modes(tmp_path) -> None:
    sys.path.insert(0, str(FAKES / "v4l2_device"))
    try:
        from fake_camera import FakeCamera
        from in_front import environment
    finally:
        sys.path.pop(0)
    FakeCamera(tmp_path).plug("mode YUYV 320 240 640 153600 30 15")
    (tmp_path / "video7").write_text("no device")
    place = Place(environment=environment(tmp_path), devices=tmp_path)
    camera = next(each for each in look_at_cameras(place) if each.what.startswith("camera "))
    assert camera.what == f"camera {tmp_path}/video0"
    assert camera.value.startswith("Made-up Camera: YUYV 320x240 30 15")


def library(folder: Path, version: str, devices: int) -> Place:
    """A computer with a libedgetpu, built from the functions of its public header."""
    source = folder / "edgetpu.c"
    source.write_text(
        f"""
        #include <stddef.h>
        #include <stdlib.h>
        const char *edgetpu_version(void) {{ return "{version}"; }}
        void *edgetpu_list_devices(size_t *count) {{ *count = {devices}; return malloc(16); }}
        void edgetpu_free_devices(void *devices) {{ free(devices); }}
        """
    )
    built = folder / "libedgetpu.so.1"
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", built, source], check=True)
    root = folder / "root"
    root.mkdir()
    return Place(root=root, environment=os.environ | {"LD_LIBRARY_PATH": str(folder)})


def test_a_library_for_edge_tpus_of_long_ago_is_told_from_one_of_today(tmp_path) -> None:
    googles = "BuildLabel(COMPILER=6.3.0 20170516,DATE=redacted), RuntimeVersion(14)"
    rebuilt = "BuildLabel(COMPILER=12.2.0,DATE=redacted), RuntimeVersion(14)"
    for name, version, level in (("old", googles, Level.WARN), ("new", rebuilt, Level.OK)):
        folder = tmp_path / name
        folder.mkdir()
        *_, finding = look_at_edge_tpus(library(folder, version, 0))
        assert (finding.what, finding.level) == ("libedgetpu", level)
        assert "RuntimeVersion(14)" in finding.value
