"""Unit tests start no process: that is held here, whoever starts it."""

import sys
import threading
from collections.abc import Iterator

import pytest

_STARTS = {"os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.system", "subprocess.Popen"}
_refused: list[str] = []
_watching = False
# What tests of programs on the same worker left behind may start some a little later.
_older: set[threading.Thread] = set()


def _refuse(event: str, _: object) -> None:
    if _watching and event in _STARTS and threading.current_thread() not in _older:
        _refused.append(event)
        raise RuntimeError("tests in unit/ start no process: move the test to integration/")


# An audit hook cannot be taken away again, only be idle.
sys.addaudithook(_refuse)


@pytest.fixture(autouse=True)
def no_process(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fail a test that starts a process, also where the product forgives the refusal."""
    # Models that a test makes are sound, or refused before a process would try them.
    monkeypatch.setenv("EDGE_DETECT_TRIAL", "0")
    global _watching  # noqa: PLW0603 - the hook belongs to the whole interpreter
    _refused.clear()
    _older.clear()
    _older.update(set(threading.enumerate()) - {threading.current_thread()})
    _watching = True
    yield
    _watching = False
    assert not _refused, "tests in unit/ start no process: move the test to integration/"
