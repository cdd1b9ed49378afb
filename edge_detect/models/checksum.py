"""Whether a model file is the one that its manifest describes."""

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from edge_detect.core import ModelError

if TYPE_CHECKING:
    from edge_detect.models.spec import ModelSpec

__all__ = ["check_content", "content_mismatch", "git_blob_of", "sha256_of"]


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, as hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def git_blob_of(path: Path) -> str:
    r"""Git's name for a file's content: SHA-1 of "blob SIZE\0" and the content."""
    digest = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def content_mismatch(path: Path, spec: "ModelSpec") -> str:
    """What is wrong with a file's content, or nothing.

    Returns:
        The key of the manifest, what it says and what the file has; empty if they agree.

    Raises:
        OSError: The file cannot be read.
    """
    if spec.sha256:
        found = sha256_of(path)
        if found != spec.sha256:
            return f"sha256 is {found}, the manifest says {spec.sha256}"
    if spec.git_blob:
        found = git_blob_of(path)
        if found != spec.git_blob:
            return f"git_blob is {found}, the manifest says {spec.git_blob}"
    return ""


def check_content(path: Path, spec: "ModelSpec") -> None:
    """Refuse a file that is not the one the manifest describes.

    Raises:
        ModelError: It cannot be read, or its checksum differs.
    """
    try:
        mismatch = content_mismatch(path, spec)
    except OSError as error:
        raise ModelError(f"cannot read model {path}: {error.strerror}") from error
    if mismatch:
        again = (
            f"fetch it again with: edge-detect models pull {spec.name}"
            if spec.origin.url
            else "restore the file, or correct the key in the manifest if you changed the model"
        )
        raise ModelError(f"{path} is truncated or was changed: {mismatch}", again)
