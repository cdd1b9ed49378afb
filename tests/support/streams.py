"""What tests of network streams have in common."""

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from edge_detect.core import Frame, SourceError
from edge_detect.sources import Source, open_source

# The test server's login; with everything in it that must be encoded in a URL.
USER, PASSWORD = "admin", "p@ss:w/rd %?#"
LOGIN = "admin:p%40ss%3Aw%2Frd%20%25%3F%23"


@contextmanager
def connected(
    url: str, open_url: Callable[[str], Source] = open_source
) -> Iterator[tuple[Source, Frame]]:
    """A source and the first frame that it gave."""
    with open_url(url) as source:
        frame = source.read()
        assert frame is not None
        yield source, frame


def read_error(url: str) -> SourceError:
    """The error that ends a stream."""
    with open_source(url) as source:
        try:
            while source.read() is not None:
                pass
        except SourceError as error:
            return error
    raise AssertionError(f"{source.name} ended without an error")


def make_certificate(folder: Path) -> tuple[str, str]:
    """A certificate for 127.0.0.1 that it signed itself, and its key."""
    certificate, key = str(folder / "camera.pem"), str(folder / "camera.key")
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-days", "2", "-subj", "/CN=camera", "-keyout", key, "-out", certificate),
            *("-addext", "subjectAltName=IP:127.0.0.1"),
        ],
        check=True,
        capture_output=True,
        timeout=30,
    )
    return certificate, key
