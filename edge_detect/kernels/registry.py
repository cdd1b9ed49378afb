"""Declaring kernels with their exact types, and compiling them on demand."""

from collections.abc import Callable
from time import perf_counter
from typing import Any

import numba

from edge_detect.kernels.cache import KernelCache

__all__ = ["TENSOR_TYPES", "compile_all", "helper", "kernel", "list_uncompiled", "prepare"]

TENSOR_TYPES = ("int8", "uint8", "float32")

_kernels: dict[str, tuple[Any, dict[str, str]]] = {}


def helper(function: Callable[..., Any]) -> Any:
    """A function that only kernels call; compiled into each of them."""
    return numba.njit(nogil=True, error_model="numpy")(function)


def kernel(signature: str, *types: str, nogil: bool = True) -> Callable[[Callable[..., Any]], Any]:
    """Declare a kernel; nothing is compiled until `prepare` or the first call.

    Args:
        signature: Numba signature in which `{T}` stands for the element type of the tensors.
        types: Element types to compile for; none if `{T}` does not occur.
        nogil: Whether other threads may run Python meanwhile. Getting the lock back can take
            longer than a kernel of some microseconds does.
    """

    def declare(function: Callable[..., Any]) -> Any:
        dispatcher: Any = numba.njit(nogil=nogil, error_model="numpy")(function)
        dispatcher._cache = KernelCache(function)  # noqa: SLF001 - what enable_caching() does
        variants = {name: signature.format(T=name) for name in types or ("",)}
        _kernels[function.__name__] = (dispatcher, variants)
        return dispatcher

    return declare


def prepare(dispatcher: Any, element_type: str = "") -> None:
    """Make a kernel ready for one element type, so that its first call is a fast one.

    Args:
        dispatcher: What the decorator `kernel` returned.
        element_type: One of the types it was declared for.
    """
    variants = _kernels[dispatcher.__name__][1]
    dispatcher.compile(variants[element_type])


def compile_all() -> list[tuple[str, float]]:
    """Prepare every kernel declared so far; names with the seconds each took."""
    seconds = []
    for name, (dispatcher, variants) in _kernels.items():
        for element_type in variants:
            started = perf_counter()
            prepare(dispatcher, element_type)
            label = f"{name}[{element_type}]" if element_type else name
            seconds.append((label, perf_counter() - started))
    return seconds


def list_uncompiled() -> list[str]:
    """The kernels declared so far that are not in any cache; nothing is compiled."""
    return [
        f"{name}[{element_type}]" if element_type else name
        for name, (dispatcher, variants) in _kernels.items()
        for element_type, signature in variants.items()
        if dispatcher._cache.load_overload(signature, dispatcher.targetctx) is None  # noqa: SLF001
    ]
