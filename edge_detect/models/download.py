"""Fetching the files of catalogued models."""

import errno
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPException, HTTPResponse, InvalidURL
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlsplit
from urllib.request import HTTPRedirectHandler, OpenerDirector, Request, build_opener

from edge_detect.core import DownloadError, ModelError, user_models_path
from edge_detect.models.catalogue import find_model
from edge_detect.models.checksum import content_mismatch

__all__ = ["Progress", "fetch", "pull"]

Progress = Callable[[int, int | None], None]

_CHUNK_BYTES = 1 << 16
_TRANSIENT_STATUS = {408, 425, 429, 500, 502, 503, 504}
_LONGEST_WAIT_S = 10.0
# Of an address, beside letters and digits; `%` where it is percent-encoded already.
_SAFE = "%/:=&?~#+!$,;'@()*[]-._"
_KEPT = ": it goes on where it stopped"


class _Waits(NamedTuple):
    """The times that `pull` or `fetch` was given, in seconds."""

    timeout_s: float
    budget_s: float
    first_s: float
    begin_s: float


def pull(
    name: str,
    *,
    url: str | None = None,
    progress: Progress | None = None,
    timeout_s: float = 15.0,
    budget_s: float = 30.0,
    first_wait_s: float = 0.5,
) -> Path:
    """Fetch the file of a catalogued model into the user's folder.

    An interrupted download is taken up where it stopped, by this call or the next one. The
    file gets its name only when its content is known to be right. Of several calls at once
    the first one downloads, the others wait for it.

    Args:
        name: A name of the catalogue.
        url: Where to get the file instead of the manifest's `origin.url`.
        progress: Called with the bytes that are here, and the size of the file or None.
        timeout_s: Longest wait for a connection and for each piece of data.
        budget_s: No new attempt begins after so many seconds without any new data.
        first_wait_s: Wait before a second attempt; doubles at each one without new data.

    Returns:
        Where the file lies now.

    Raises:
        ModelError: There is no such model, or it is not one that is pulled.
        DownloadError: It could not be fetched, or is not what the manifest says.
    """
    entry = find_model(name)
    spec = entry.spec
    if entry.present and not content_mismatch(entry.path, spec):
        return entry.path
    source = url or spec.origin.url
    if not source:
        raise ModelError(f"model {spec.name!r} comes with the package and is not downloaded")
    _check_address(source)
    waits = _Waits(timeout_s, budget_s, min(first_wait_s, timeout_s), budget_s)
    folder = user_models_path()
    target, part = folder / spec.file, folder / f"{spec.file}.part"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _locked(folder / f".{spec.file}.lock"):
            if target.exists() and not content_mismatch(target, spec):
                return target
            resumed = _size(part) > 0
            _fetch_all(source, part, progress, waits)
            mismatch = content_mismatch(part, spec)
            if mismatch and resumed:
                # The older piece may be of another file: begin once more without it.
                _forget(part)
                _fetch_all(source, part, progress, waits)
                mismatch = content_mismatch(part, spec)
            if mismatch:
                _forget(part)
                raise DownloadError(
                    f"{source} is not the file of model {spec.name!r}: {mismatch}",
                    "the download was deleted; the file there has changed, or a proxy answered",
                    transient=False,
                )
            _publish(part, target)
    except OSError as error:
        raise _explain_disk(error, folder) from error
    return target


def fetch(
    url: str,
    target: Path,
    *,
    progress: Progress | None = None,
    timeout_s: float = 15.0,
    begin_s: float = 5.0,
    budget_s: float = 30.0,
    first_wait_s: float = 0.5,
) -> str:
    """Fetch any file; nothing about its content is known.

    Args:
        url: http or https.
        target: Written when all of it is here.
        progress: As in `pull`.
        timeout_s: As in `pull`.
        begin_s: No new attempt begins after so many seconds in which no data came at all.
        budget_s: As in `pull`, from the first data on.
        first_wait_s: As in `pull`.

    Returns:
        The file's name as the server states it, without folders; empty where it does not.

    Raises:
        DownloadError: It could not be fetched.
    """
    _check_address(url)
    part = target.with_name(f"{target.name}.part")
    waits = _Waits(timeout_s, budget_s, min(first_wait_s, timeout_s), begin_s)
    try:
        name = _fetch_all(url, part, progress, waits)
        _publish(part, target)
    except DownloadError as error:
        # A later call does not find the part.
        hint = error.hint.removesuffix(_KEPT)
        raise DownloadError(error.message, hint, transient=error.transient) from error
    except OSError as error:
        raise DownloadError(
            f"cannot write to {target.parent}: {error.strerror or error}",
            "make room there, or set TMPDIR to another folder",
            transient=False,
        ) from error
    return PurePosixPath(name.replace("\\", "/")).name


def _fetch_all(url: str, part: Path, progress: Progress | None, waits: _Waits) -> str:
    """Download into `part`, trying again with back-off while that may help.

    Returns:
        The file's name as the server states it; empty where it does not.
    """
    opener = build_opener(_HttpOnly)
    delay_s = waits.first_s
    deadline = time.monotonic() + waits.begin_s
    while True:
        before = _size(part)
        try:
            return _fetch_rest(opener, url, part, progress, waits.timeout_s)
        except DownloadError as error:
            now = time.monotonic()
            if _size(part) > before:
                # New data came: the connection is bad, not dead.
                deadline, delay_s = now + waits.budget_s, waits.first_s
            if not error.transient or now + delay_s > deadline:
                raise
            time.sleep(delay_s)
            delay_s = min(2 * delay_s, _LONGEST_WAIT_S)


def _fetch_rest(
    opener: OpenerDirector, url: str, part: Path, progress: Progress | None, timeout_s: float
) -> str:
    """One attempt: ask for what is missing of `part` and append it; returns the stated name."""
    have = _size(part)
    tag = _tag_file(part)
    headers = {"User-Agent": "edge-detect", "Accept-Encoding": "identity"}
    request = Request(_quoted(url), headers=headers)  # noqa: S310 - the scheme was checked
    if have:
        request.add_header("Range", f"bytes={have}-")
        if tag.exists():
            # Should the file have changed, the server sends all of it.
            request.add_header("If-Range", tag.read_text(encoding="utf-8"))
    try:
        with _open(opener, request, timeout_s) as response:
            _append(response, part, progress)
            return response.headers.get_filename() or ""
    except HTTPError as error:
        if error.code == 416:
            # All of it is here already, or more than there is: the content check decides,
            # and deletes what is wrong.
            return ""
        raise DownloadError(
            f"{url} answers {error.code} {' '.join(str(error.reason).split())}",
            "try again later" if error.code in _TRANSIENT_STATUS else "check the address",
            transient=error.code in _TRANSIENT_STATUS,
        ) from error
    except (URLError, _NetworkError) as error:
        raise DownloadError(
            f"cannot fetch {url}: {error.reason}",
            f"check the network and run the command again{_KEPT}",
        ) from error


class _NetworkError(Exception):
    """The connection failed; kept apart from the OSErrors of the disk."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.reason = str(error) or type(error).__name__


def _open(opener: OpenerDirector, request: Request, timeout_s: float) -> HTTPResponse:
    try:
        response: HTTPResponse = opener.open(request, timeout=timeout_s)
    except URLError:
        raise
    except (InvalidURL, ValueError) as error:
        # Such as an impossible name of a host, also of one that the server leads to.
        raise DownloadError(
            f"cannot fetch {request.full_url}: {error}", "check the address", transient=False
        ) from error
    except (OSError, HTTPException) as error:
        raise _NetworkError(error) from error
    return response


def _read(response: HTTPResponse) -> bytes:
    try:
        return response.read1(_CHUNK_BYTES)
    except (OSError, HTTPException) as error:
        raise _NetworkError(error) from error


def _append(response: HTTPResponse, part: Path, progress: Progress | None) -> None:
    resumed = response.status == 206
    have = _size(part) if resumed else 0
    length = response.headers.get("Content-Length")
    total = have + int(length) if length and length.isdigit() else None
    _keep_tag(part, response)
    if progress is not None:
        progress(have, total)
    # Unbuffered: what has arrived is in the file when the process is killed.
    with part.open("ab" if resumed else "wb", buffering=0) as file:
        while chunk := _read(response):
            _write_all(file, chunk)
            have += len(chunk)
            if progress is not None:
                progress(have, total)
        os.fsync(file.fileno())
    if total is not None and have < total:
        raise DownloadError(
            f"the connection closed after {have} of {total} bytes",
            f"run the command again{_KEPT}",
        )


def _write_all(file: Any, chunk: bytes) -> None:
    # An unbuffered write may stop half-way, for instance at the last free block of a disk.
    rest = memoryview(chunk)
    while rest:
        rest = rest[file.write(rest) :]


def _keep_tag(part: Path, response: HTTPResponse) -> None:
    validator = response.headers.get("ETag") or response.headers.get("Last-Modified")
    if validator and not validator.startswith("W/"):
        _tag_file(part).write_text(validator, encoding="utf-8")
    else:
        _tag_file(part).unlink(missing_ok=True)


def _tag_file(part: Path) -> Path:
    return part.with_name(f"{part.name}.tag")


def _publish(part: Path, target: Path) -> None:
    part.replace(target)
    _tag_file(part).unlink(missing_ok=True)
    # The rename is durable only when the folder is.
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _forget(part: Path) -> None:
    part.unlink(missing_ok=True)
    _tag_file(part).unlink(missing_ok=True)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold a lock that the kernel gives back when the process ends, however it ends."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _explain_disk(error: OSError, folder: Path) -> DownloadError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return DownloadError(
            f"no room for the model in {folder}: {error.strerror}",
            "make room, or set EDGE_DETECT_MODELS to another folder, and run the command again:"
            " what has arrived is kept and it goes on where it stopped",
            transient=False,
        )
    return DownloadError(
        f"cannot write to {folder}: {error.strerror or error}",
        "check the rights, or set EDGE_DETECT_MODELS to a folder that you can write to",
        transient=False,
    )


class _HttpOnly(HTTPRedirectHandler):
    """Follows redirects to http and https only."""

    def redirect_request(
        self, req: Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> Request | None:
        _check_address(newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _quoted(url: str) -> str:
    """An address as people copy it, with its spaces and letters percent-encoded."""
    scheme, _, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}://{host}{slash}{quote(path, safe=_SAFE)}"


def _check_address(url: str) -> None:
    try:
        parts = urlsplit(url)
        host, scheme, _ = parts.hostname, parts.scheme, parts.port
    except ValueError as error:
        raise DownloadError(
            f"{url} is no valid address: {error}", "check the address", transient=False
        ) from error
    if scheme not in ("http", "https"):
        raise DownloadError(
            f"cannot fetch {url}: {scheme or 'no'} scheme",
            "use a URL that begins with https:// or http://",
            transient=False,
        )
    if not host:
        raise DownloadError(
            f"no host in {url}",
            "give the whole address, such as https://example.org/best.tflite",
            transient=False,
        )
