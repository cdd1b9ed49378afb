"""Settings of the process that pipelines need."""

import sys

import cv2

from edge_detect.pipeline.tuning import tuned_process


def test_settings_hold_until_the_last_of_several_pipelines_has_ended():
    before = (cv2.getNumThreads(), sys.getswitchinterval())
    first, second = tuned_process(), tuned_process()
    first.__enter__()
    second.__enter__()
    tuned = (cv2.getNumThreads(), sys.getswitchinterval())
    assert tuned != before
    assert tuned[0] == 1
    # The first ends first: the second still needs them.
    first.__exit__(None, None, None)
    assert (cv2.getNumThreads(), sys.getswitchinterval()) == tuned
    second.__exit__(None, None, None)
    assert (cv2.getNumThreads(), sys.getswitchinterval()) == before
