"""What the runtime says on standard error, and what of it reaches the user."""

import os
from pathlib import Path

import pytest

from edge_detect.models.chatter import without_announcements


def open_descriptors():
    return len(list(Path("/proc/self/fd").iterdir()))


def test_only_the_announcement_is_dropped_and_the_rest_comes_out_in_order(capfd):
    with without_announcements(b"INFO: Created"):
        os.write(2, b"WARNING: one\nINFO: Created a delegate\nERROR: two\n")
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "WARNING: one\nERROR: two\nafter\n"


def test_errors_of_a_failed_load_still_come_out(capfd):
    with pytest.raises(ValueError, match="broken"), without_announcements(b"INFO"):
        os.write(2, b"ERROR: no such operator\n")
        raise ValueError("broken")
    assert capfd.readouterr().err == "ERROR: no such operator\n"


def test_no_file_descriptor_is_left_open():
    before = open_descriptors()
    for _ in range(20):
        with without_announcements(b"x"):
            os.write(2, b"x\n")
    assert open_descriptors() <= before
