"""The files in which compiled kernels are kept."""

from edge_detect.kernels import registry


def double(number):
    return 2 * number


def compile_afresh():
    """How often a new kernel was found, and how often it had to be compiled."""
    kernel = registry.kernel("int64(int64)")(double)
    try:
        registry.prepare(kernel)
    finally:
        del registry._kernels["double"]
    assert kernel(3) == 6
    return sum(kernel.stats.cache_hits.values()), sum(kernel.stats.cache_misses.values())


def test_a_compiled_kernel_is_kept_and_one_that_was_cut_short_is_compiled_again(
    tmp_path, monkeypatch
):
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    assert compile_afresh() == (0, 1)
    assert compile_afresh() == (1, 0)
    kept = list(tmp_path.rglob("*double*"))
    assert len(kept) == 2
    for file in kept:
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    assert compile_afresh() == (0, 1)
    assert compile_afresh() == (1, 0)
