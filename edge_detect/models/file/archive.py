"""Files in the zip that stands behind a model, as TFLite's metadata and Ultralytics have them.

Nothing is written to a disk, so that no name can lead anywhere. What is too large, packed too
densely, encrypted or of an unknown method is left out, and named.
"""

import io
import struct
import zipfile
import zlib
from dataclasses import dataclass, field

__all__ = ["MAX_ENTRY_BYTES", "Archive", "read_archive"]

MAX_ENTRY_BYTES = 1_000_000
_MAX_ENTRIES = 64
_MAX_TOTAL_BYTES = 4_000_000
# Deflate packs at most 1032 to 1; lists of labels get 2 to 6.
_MAX_RATIO = 100
_SMALL_BYTES = 10_000
# A directory entry holds a name and an extra field of at most 64 KiB each.
_MAX_DIRECTORY_BYTES = 1_000_000
_END = b"PK\x05\x06"
_END_BYTES = 22
_LONGEST_COMMENT = 65_535
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


@dataclass(slots=True)
class Archive:
    """What was found.

    Attributes:
        files: Content by name.
        remarks: What was left out, and why.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)


def read_archive(content: bytes) -> Archive:
    """Read the files behind a model.

    Args:
        content: The whole file, model and zip.
    """
    found = Archive()
    end = content.rfind(_END, max(0, len(content) - _END_BYTES - _LONGEST_COMMENT))
    if end < 0 or end + _END_BYTES > len(content):
        return found
    entries, directory_bytes = struct.unpack_from("<HI", content, end + 10)
    if entries > _MAX_ENTRIES or directory_bytes > _MAX_DIRECTORY_BYTES:
        found.remarks.append(f"the zip behind the model has {entries} files: ignored")
        return found
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as opened:
            _read_entries(opened, found)
    except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError, EOFError) as error:
        found.remarks.append(f"the zip behind the model is damaged: {error}")
    return found


def _read_entries(opened: zipfile.ZipFile, found: Archive) -> None:
    total = 0
    for info in opened.infolist()[:_MAX_ENTRIES]:
        name = info.filename
        if name.endswith("/"):
            continue
        reason = _refusal(info)
        if not reason and total + info.file_size > _MAX_TOTAL_BYTES:
            reason = f"all files together have more than {_MAX_TOTAL_BYTES} bytes"
        if reason:
            found.remarks.append(f"{name[:80]!r} in the zip is ignored: {reason}")
            continue
        try:
            with opened.open(info) as file:
                data = file.read(MAX_ENTRY_BYTES + 1)
        except (zipfile.BadZipFile, zlib.error, RuntimeError, EOFError, OSError) as error:
            found.remarks.append(f"{name[:80]!r} in the zip is ignored: {error}")
            continue
        total += len(data)
        if len(data) > MAX_ENTRY_BYTES:
            found.remarks.append(f"{name[:80]!r} in the zip is ignored: larger than it says")
            continue
        found.files.setdefault(name, data)


def _refusal(info: zipfile.ZipInfo) -> str:
    """Why an entry is not read; empty where it is."""
    if not info.filename:
        return "it has no name"
    parts = info.filename.replace("\\", "/").split("/")
    if ".." in parts or info.filename.startswith(("/", "\\")) or ":" in parts[0]:
        return "its name leads out of the zip"
    if info.flag_bits & 1:
        return "it is encrypted"
    if info.compress_type not in _METHODS:
        return f"its packing method {info.compress_type} is not supported"
    if info.file_size > MAX_ENTRY_BYTES:
        return f"it has {info.file_size} bytes, more than {MAX_ENTRY_BYTES}"
    if info.file_size > _SMALL_BYTES and info.file_size > _MAX_RATIO * info.compress_size:
        return "it is packed more densely than text can be"
    return ""
