"""`edge-detect report`: what the history says, for a terminal, a browser or a program."""

import argparse
import gc
import os
import sys
from pathlib import Path

from edge_detect.core import ConfigError, SinkError
from edge_detect.service.history.files import metrics_directory
from edge_detect.service.paths import state_directory
from edge_detect.service.report import (
    make_report,
    make_report_html,
    parse_moment,
    report_json,
    report_text,
)

__all__ = ["report"]

_SERVICE = Path("/var/lib/edge-detect")
# Below everything else: the detector runs on the same cores.
_NICE = 10


def report(arguments: argparse.Namespace) -> int:
    """Print or write one report."""
    since_s = parse_moment(arguments.since, "--since")
    until_s = parse_moment(arguments.until, "--until") if arguments.until else None
    os.nice(_NICE)
    # There are millions of short-lived lists and no cycles: looking for those takes a tenth.
    gc.disable()
    found = make_report(arguments.dir or _directory(), since_s, until_s, arguments.camera or ())
    if arguments.html == "-":
        print(make_report_html(found))
    elif arguments.html:
        _write(Path(arguments.html), make_report_html(found))
    if arguments.json:
        print(report_json(found))
    elif not arguments.html:
        print(report_text(found))
    return 0


def _directory() -> Path:
    """The service's history if it can be read, else that of this user."""
    own, service = metrics_directory(state_directory()), metrics_directory(_SERVICE)
    granted = "STATE_DIRECTORY" in os.environ
    for directory in (own,) if granted else (service, own):
        if os.access(directory, os.R_OK | os.X_OK):
            return directory
    raise ConfigError(
        f"there is no history in {own}, and none that you may read in {service}",
        "`edge-detect run --config FILE` writes one; that of the service may need sudo; "
        "--dir DIR names another place",
    )


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise SinkError(
            f"cannot write {path}: {error.strerror}", "name another file, or - to print it"
        ) from error
    print(f"wrote {path}", file=sys.stderr)
