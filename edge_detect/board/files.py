"""Reading the small files in which the kernel tells numbers; what is not there is None."""

from pathlib import Path

__all__ = ["read_number", "read_text"]

# Larger than anything read here; a file that never ends must not hold us.
_MOST_BYTES = 65_536


def read_text(path: Path) -> str | None:
    """A file's text without white space at the ends; None where it cannot be read.

    Drivers answer a read with errors of all kinds (EINVAL of a sensor that is switched off,
    EIO, ENODATA), and devices go away between two reads: all of them are "not told".
    """
    try:
        with path.open("rb") as file:
            data = file.read(_MOST_BYTES)
    except OSError:
        return None
    return data.decode("utf-8", "replace").strip().strip("\0")


def read_number(path: Path, base: int = 10) -> int | None:
    """A file's only number; None where there is none."""
    text = read_text(path)
    # Python takes 1_000 and digits of other scripts, which no kernel writes.
    if text is None or len(text) > 20 or not text.isascii() or "_" in text:
        return None
    try:
        return int(text, base)
    except ValueError:
        return None
