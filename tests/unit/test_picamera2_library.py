"""A missing, hidden, old or unfit picamera2 is told with its cure."""

import logging
import os
import sys
from pathlib import Path

import pytest

from edge_detect.core import DependencyError, SourceError
from edge_detect.sources import open_source
from edge_detect.sources.csi import cameras
from edge_detect.sources.csi.cameras import first_csi_camera, list_cameras, load_library

FAKES = Path(__file__).parents[1] / "fakes" / "picamera2"
APT = "sudo apt install -y python3-picamera2 --no-install-recommends"
PACKAGES = ("csi_hardware", "libcamera", "picamera2")


@pytest.fixture(autouse=True)
def fresh(monkeypatch, tmp_path):
    """No trace of the libraries, and no system packages, before and after."""

    def forget() -> None:
        for name in [name for name in sys.modules if name.partition(".")[0] in PACKAGES]:
            del sys.modules[name]

    forget()
    monkeypatch.setattr(cameras, "_SYSTEM_PACKAGES", tmp_path / "dist-packages")
    yield
    forget()


@pytest.fixture
def quiet(monkeypatch):
    """The libraries' levels as they are before anyone has set them."""
    monkeypatch.setenv("LIBCAMERA_LOG_LEVELS", "")
    monkeypatch.delenv("LIBCAMERA_LOG_LEVELS")
    for name in ("picamera2", "picamera2.picamera2"):
        monkeypatch.setattr(logging.getLogger(name), "level", logging.NOTSET)


@pytest.fixture
def board(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(str(FAKES))
    monkeypatch.setenv("FAKE_CSI_LOCKS", str(tmp_path))
    import csi_hardware

    return csi_hardware.board


@pytest.fixture
def install(monkeypatch, tmp_path):
    """A function that puts a picamera2 with some source text on the path."""

    def write(text: str) -> None:
        package = tmp_path / "site-packages" / "picamera2"
        package.mkdir(parents=True)
        (package / "__init__.py").write_text(text)
        monkeypatch.syspath_prepend(str(package.parent))

    return write


def test_a_missing_picamera2_is_told_with_the_line_that_installs_it(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "picamera2", None)
    with pytest.raises(DependencyError, match="needs picamera2, which is not installed") as caught:
        open_source("picamera2://")
    assert caught.value.hint == APT


def test_an_environment_that_hides_the_system_is_told_so(monkeypatch, tmp_path) -> None:
    (tmp_path / "dist-packages" / "picamera2").mkdir(parents=True)
    monkeypatch.setitem(sys.modules, "picamera2", None)
    with pytest.raises(DependencyError, match="installed on the system, but") as caught:
        open_source("picamera2://")
    assert sys.prefix in caught.value.message
    assert "--system-site-packages" in caught.value.hint


def test_a_picamera2_of_pip_without_libcamera_is_told_so(monkeypatch, install) -> None:
    install("import libcamera")
    monkeypatch.setitem(sys.modules, "libcamera", None)
    with pytest.raises(DependencyError, match="picamera2 needs libcamera") as caught:
        load_library()
    assert caught.value.hint == APT


@pytest.mark.parametrize(
    "error",
    [
        'ValueError("numpy.dtype size changed, may indicate binary incompatibility")',
        'ImportError("numpy.core.multiarray failed to import")',
        'AttributeError("_ARRAY_API not found")',
    ],
)
def test_packages_built_for_another_numpy_are_told_with_a_cure(install, error) -> None:
    install(f"raise {error}")
    with pytest.raises(DependencyError, match="built for another numpy") as caught:
        load_library()
    assert "pip install --upgrade simplejpeg" in caught.value.hint


def test_an_interpreter_that_is_not_the_systems_is_told_so(install) -> None:
    install('raise ImportError("undefined symbol: _PyThreadState_UncheckedGet")')
    with pytest.raises(DependencyError, match="cannot be imported: undefined symbol") as caught:
        load_library()
    assert "/usr/bin/python3" in caught.value.hint


def test_a_picamera2_whose_waits_cannot_be_ended_is_too_old(install, board) -> None:
    install("class Picamera2: pass")
    with pytest.raises(DependencyError, match="too old") as caught:
        load_library()
    assert "full-upgrade" in caught.value.hint


def test_the_first_csi_camera_is_none_without_picamera2(monkeypatch, caplog) -> None:
    monkeypatch.setitem(sys.modules, "picamera2", None)
    assert first_csi_camera() is None
    assert not caplog.records


def test_the_first_csi_camera_is_none_without_a_sensor(board) -> None:
    board.sensors.clear()
    assert first_csi_camera() is None


def test_usb_cameras_are_left_to_v4l2(board) -> None:
    from csi_hardware import Sensor

    usb = Sensor("HD Webcam", "/base/scb/pcie@7d500000/usb@0,0-1.2:1.0-046d:0825")
    board.sensors[:] = [usb]
    assert first_csi_camera() is None
    board.sensors[:] = [usb, Sensor(), Sensor("imx708", "/base/soc/i2c0mux/i2c@0/imx708@1a")]
    assert first_csi_camera() == "picamera2://0"
    names = [camera["Model"] for camera in list_cameras(load_library())]
    assert names == ["imx219", "imx708", "HD Webcam"]


def test_a_broken_installation_is_logged_and_not_raised(install, caplog) -> None:
    install('raise ValueError("numpy.dtype size changed")')
    assert first_csi_camera() is None
    assert "no CSI camera can be used" in caplog.text
    assert "numpy.dtype size changed" in caplog.text


def test_a_libcamera_that_does_not_start_is_an_error(board, monkeypatch) -> None:
    library = load_library()

    def fail() -> list:
        raise RuntimeError("Failed to start CameraManager: No such file or directory")

    monkeypatch.setattr(library.picamera2.Picamera2, "global_camera_info", staticmethod(fail))
    with pytest.raises(SourceError, match="libcamera cannot list the cameras: Failed to start"):
        list_cameras(library)


def test_the_libraries_keep_quiet(board, quiet, caplog) -> None:
    with caplog.at_level(logging.INFO, "edge_detect"):
        load_library()
    assert os.environ["LIBCAMERA_LOG_LEVELS"] == "*:ERROR"
    # An error of its own that it raises besides is not told twice.
    assert not logging.getLogger("picamera2.picamera2").isEnabledFor(logging.ERROR)
    assert not logging.getLogger("picamera2.previews.null_preview").isEnabledFor(logging.WARNING)
    assert logging.getLogger("picamera2.previews.null_preview").isEnabledFor(logging.ERROR)


def test_what_the_user_has_set_stays(board, quiet, monkeypatch) -> None:
    monkeypatch.setenv("LIBCAMERA_LOG_LEVELS", "Camera:INFO")
    logging.getLogger("picamera2").setLevel(logging.INFO)
    load_library()
    assert os.environ["LIBCAMERA_LOG_LEVELS"] == "Camera:INFO"
    assert logging.getLogger("picamera2").level == logging.INFO


def test_debugging_shows_what_the_libraries_say(board, quiet, caplog) -> None:
    with caplog.at_level(logging.DEBUG, "edge_detect"):
        load_library()
    assert "LIBCAMERA_LOG_LEVELS" not in os.environ
    assert logging.getLogger("picamera2").level == logging.NOTSET
