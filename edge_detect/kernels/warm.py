"""Compiling every kernel ahead of time, so that none compiles in service."""

from importlib import import_module

__all__ = ["warmup"]

_MODULES = ("nms", "pixels", "polygons", "quantize", "ssd", "yolo")


def warmup() -> list[tuple[str, float]]:
    """Compile every kernel for every type of tensor, or load it from the cache.

    Returns:
        Name with the element type, and the seconds it took, for each kernel. A compilation
        takes seconds, loading from the cache a few milliseconds.
    """
    for module in _MODULES:
        import_module(f"edge_detect.kernels.{module}")
    from edge_detect.kernels.registry import compile_all

    return compile_all()
