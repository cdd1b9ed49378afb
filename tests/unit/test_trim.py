"""Giving memory back needs nothing of the kernel."""

from edge_detect.service.trim import trim_memory


def test_a_kernel_that_tells_nothing_of_mappings_is_no_error(tmp_path):
    trim_memory(tmp_path / "smaps")
