"""A web page with the live picture, and an HTTP interface to everything it shows."""

from edge_detect.core import DependencyError
from edge_detect.core.url import Url
from edge_detect.sinks.sink import Sink
from edge_detect.sinks.web.settings import read_settings

__all__ = ["open_web_sink"]


def open_web_sink(url: Url) -> Sink:
    """Open `http://[user:password@][address]:8080[?token=…&hosts=a,b&viewers=8]`.

    Without an address only this machine can see the page; `0.0.0.0` stands for all of its
    addresses. `hosts` are further names under which the page may be asked for, `viewers` is
    how many may watch at a time.

    Raises:
        ConfigError: An option is misspelt or says something impossible.
        DependencyError: FastAPI or uvicorn is missing.
    """
    settings = read_settings(url)
    try:
        # Half a second on a PC: only who wants a page pays for it.
        from edge_detect.sinks.web.sink import WebSink
    except ModuleNotFoundError as error:
        raise DependencyError(
            f"the web page needs the package {error.name!r}, which is not installed",
            "pip install 'edge-detect[web]'",
        ) from error
    return WebSink(settings)
