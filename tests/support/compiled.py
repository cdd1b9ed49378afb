"""Shared libraries from C sources, compiled once for all tests that run side by side or later."""

import fcntl
import hashlib
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
CACHE = ROOT / ".cache" / "compiled"


def shared_library(sources: Sequence[Path], *flags: str, headers: Sequence[Path] = ()) -> Path:
    """Compile C sources into a shared library, or return the one that was compiled before.

    Args:
        sources: What is compiled.
        flags: For the compiler, beside `-shared -fPIC`.
        headers: What the sources include; another content means another library.
    """
    command = ["cc", "-shared", "-fPIC", *flags]
    content = hashlib.sha256(repr((command, os.uname().machine)).encode())
    for path in (*sources, *headers):
        content.update(path.read_bytes())
    library = CACHE / f"{sources[0].stem}-{content.hexdigest()[:16]}.so"
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / f"{library.stem}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not library.exists():
            part = library.with_suffix(".part")
            subprocess.run([*command, "-o", part, *sources], check=True, timeout=60)
            # In one step: what was interrupted leaves no half of a library.
            part.replace(library)
    return library
