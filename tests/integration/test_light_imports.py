"""What a fresh process loads for what it does, and which large libraries it does without."""

import subprocess
import sys


def loaded_by(code: str, *packages: str) -> str:
    """Those of the packages that a process has loaded after the code has run."""
    code += f"; import sys; print([each for each in {packages!r} if each in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_listing_models_loads_neither_opencv_nor_kernels_nor_a_runtime():
    code = "from edge_detect.models import list_models; list_models()"
    assert loaded_by(code, "cv2", "numba", "ai_edge_litert", "tflite_runtime") == "[]"


def test_reading_a_cfg_does_not_load_tensorflow():
    """A gigabyte of libraries is for conversion only."""
    code = "import edge_detect.tools.convert, edge_detect.tools.convert.darknet"
    assert loaded_by(code, "tensorflow") == "[]"
