"""Compiling every kernel ahead of time, so that none compiles in service."""

from importlib import import_module

__all__ = ["uncompiled", "warmup"]

_MODULES = (
    "anchored",
    "decoded",
    "dfl",
    "fomo",
    "nms",
    "pixels",
    "polygons",
    "postprocess",
    "quantize",
    "select",
    "ssd",
    "yolo",
)


def warmup() -> list[tuple[str, float]]:
    """Compile every kernel for every type of tensor, or load it from the cache.

    Returns:
        Name with the element type, and the seconds it took, for each kernel. A compilation
        takes seconds, loading from the cache a few milliseconds.
    """
    _declare_all()
    from edge_detect.kernels.registry import compile_all

    return compile_all()


def uncompiled() -> list[str]:
    """Names of the kernels that would have to be compiled at the next start."""
    _declare_all()
    from edge_detect.kernels.registry import list_uncompiled

    return list_uncompiled()


def _declare_all() -> None:
    for module in _MODULES:
        import_module(f"edge_detect.kernels.{module}")
