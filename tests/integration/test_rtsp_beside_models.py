"""The RTSP server and the model runtimes, whose libraries meet in one process."""

import subprocess
import sys

import pytest
from support.echo_models import MODELS

PROGRAM = """
import sys
from pathlib import Path
import {first}
from edge_detect.core import ModelError
from edge_detect.models.runtime import open_session
from edge_detect.sinks.rtsp.system import load_rtsp_libraries
load_rtsp_libraries()
try:
    open_session(Path(sys.argv[1]))
except ModelError as error:
    print(error)
"""


@pytest.mark.parametrize("first", ["av", "cv2"])
def test_a_runtime_that_is_loaded_after_gstreamer_still_refuses_a_model_by_an_error(first) -> None:
    command = [sys.executable, "-c", PROGRAM.format(first=first), MODELS / "newer-op.tflite"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "operator that this runtime does not have" in done.stdout
