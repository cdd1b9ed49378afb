"""Where compiled kernels are kept, and what happens where they cannot be kept.

Numba's own cache refuses to work ("no locator available") where no directory can be written,
even if a warm cache could be read there: the normal state of a hardened service whose kernels
were compiled at installation. It also watches only the file of the kernel itself, so that an
upgrade of a function that the kernel calls would go unnoticed. Therefore: every known
directory is read, the first writable one is written, failing that the kernel is compiled for
this process only, with a warning; and the stamp covers all sources of this package.
"""

import hashlib
import logging
import os
import pickle
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from numba.core.caching import CompileResultCacheImpl, FunctionCache, IndexDataCacheFile

__all__ = ["KernelCache", "cache_directories"]

_log = logging.getLogger(__name__)
_HERE = Path(__file__).resolve().parent
# What a file that was cut short by a power failure makes pickle raise.
_TORN = (EOFError, pickle.UnpicklingError, ValueError, AttributeError, IndexError)


def cache_directories() -> list[Path]:
    """The folders in which compiled kernels are looked for, best first.

    `NUMBA_CACHE_DIR` alone if it is set; else the package's own `__pycache__`, the
    `CacheDirectory` of a systemd unit, and the user's cache.
    """
    chosen = os.environ.get("NUMBA_CACHE_DIR")
    if chosen:
        return [Path(chosen) / "edge-detect-kernels"]
    folders = [_HERE / "__pycache__"]
    of_unit = os.environ.get("CACHE_DIRECTORY", "").split(":")[0]
    if of_unit:
        folders.append(Path(of_unit) / "kernels")
    of_user = os.environ.get("XDG_CACHE_HOME")
    home = os.environ.get("HOME")
    if of_user:
        folders.append(Path(of_user) / "edge-detect" / "kernels")
    elif home:
        folders.append(Path(home) / ".cache" / "edge-detect" / "kernels")
    return folders


@cache
def _source_stamp() -> str:
    digest = hashlib.sha256()
    for path in sorted(_HERE.glob("*.py")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


@cache
def _warn_not_kept(reason: str) -> None:
    _log.warning(
        "compiled kernels cannot be kept (%s): every start will compile them again; "
        "set NUMBA_CACHE_DIR to a writable folder and run `edge-detect warmup`",
        reason,
    )


class _Locator:
    """Names the kernel's files; the folders are chosen when reading and writing."""

    def __init__(self, kernel: Callable[..., Any]) -> None:
        self._py_file = kernel.__code__.co_filename

    @classmethod
    def from_function(cls, kernel: Callable[..., Any], _file: str) -> "_Locator":
        return cls(kernel)

    def ensure_cache_path(self) -> None:
        """Nothing: folders are made when something is written."""

    def get_cache_path(self) -> str:
        return str(cache_directories()[0])

    def get_source_stamp(self) -> str:
        return _source_stamp()

    def get_disambiguator(self) -> str:
        return "kernel"


class _Implementation(CompileResultCacheImpl):
    _locator_classes: list[type[object]] = [_Locator]  # noqa: RUF012 - as in the base class


class _Shelves:
    """The files of one kernel in several folders; reads from any, writes to the first it can."""

    def __init__(self, name: str) -> None:
        self._folders = cache_directories()
        self._files = [IndexDataCacheFile(str(f), name, _source_stamp()) for f in self._folders]

    def load(self, key: Any) -> Any:
        for file in self._files:
            try:
                data = file.load(key)
            except (OSError, *_TORN) as error:
                _log.debug("skipping an unreadable compiled kernel: %s", error)
                continue
            if data is not None:
                return data
        return None

    def save(self, key: Any, data: Any) -> None:
        reason = "no folder known"
        for folder, file in zip(self._folders, self._files, strict=True):
            try:
                folder.mkdir(parents=True, exist_ok=True)
                try:
                    file.save(key, data)
                except _TORN:
                    # The list of what is kept here is torn: begin a new one.
                    file.flush()
                    file.save(key, data)
            except OSError as error:
                reason = str(error)
            else:
                return
        _warn_not_kept(reason)

    def flush(self) -> None:
        for file in self._files:
            file.flush()


class KernelCache(FunctionCache):
    """The cache of one kernel; never raises for want of a place to write to."""

    _impl_class = _Implementation

    def __init__(self, kernel: Callable[..., Any]) -> None:
        super().__init__(kernel)
        self._cache_file: Any = _Shelves(self._impl.filename_base)
