"""Logs reach a journal and pipes, also those that hang, vanish and come back."""

import json
import logging
import os
import socket
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from support.daemons import MODEL, running_daemon
from support.ports import free_port
from support.requirements import not_allowed
from support.waiting import wait_for

from edge_detect.service.config.settings import LoggingSettings
from edge_detect.service.logs import Logs, configure_logging

log = logging.getLogger("edge_detect.service.test")

JOURNALD = Path("/lib/systemd/systemd-journald")


class Journal:
    """The journal's end of its socket, which reads when it is told to.

    Args:
        path: Of the socket.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._socket.settimeout(10)

    def read(self) -> dict[str, str]:
        """The fields of the next entry, taken apart as systemd describes its protocol."""
        data, fields = self._socket.recv(1 << 20), {}
        while data:
            line, _, data = data.partition(b"\n")
            name, equals, value = line.partition(b"=")
            if not equals:
                length = int.from_bytes(data[:8], "little")
                value, end, data = (
                    data[8 : 8 + length],
                    data[8 + length : 9 + length],
                    data[9 + length :],
                )
                assert end == b"\n"
            fields[name.decode()] = value.decode()
        return fields

    def close(self) -> None:
        """Go, as a journal that is restarted."""
        self._socket.close()
        self.path.unlink()


@contextmanager
def logging_to(journal: Path) -> Iterator[Logs]:
    """This process logs to that journal."""
    logs = configure_logging(LoggingSettings(format="journal"), journal=journal)
    try:
        yield logs
    finally:
        logs.close()


def test_the_journal_gets_every_field_and_texts_of_many_lines(tmp_path: Path):
    with closing(Journal(tmp_path / "socket")) as journal, logging_to(journal.path) as logs:
        log.warning("no answer\nat all", extra={"camera": "yard", "source_state": "lost"})
        fields = journal.read()
        assert logs.format == "journal"
    assert fields["MESSAGE"] == "yard: no answer\nat all"
    assert fields["PRIORITY"] == "4"
    assert fields["SYSLOG_IDENTIFIER"] == "edge-detect"
    assert (fields["CAMERA"], fields["SOURCE_STATE"]) == ("yard", "lost")
    assert fields["CODE_FILE"] == __file__


def test_a_journal_that_reads_nothing_holds_nobody_up_and_gets_what_fits_later(tmp_path: Path):
    with closing(Journal(tmp_path / "socket")) as journal, logging_to(journal.path) as logs:
        for number in range(5000):
            log.info("%s", f"message {number}")
        assert logs.lost > 0
        messages = []
        while not any("are missing here" in message for message in messages):
            messages.append(journal.read()["MESSAGE"])
        assert messages[:3] == ["message 0", "message 1", "message 2"]
        assert len(messages) - 1 + logs.lost == 5000
        assert messages[-1].startswith(f"{logs.lost} messages are missing here")


def test_a_journal_that_is_restarted_gets_what_was_said_meanwhile(tmp_path: Path):
    path = tmp_path / "socket"
    journal = Journal(path)
    with logging_to(path) as logs:
        log.info("before")
        assert journal.read()["MESSAGE"] == "before"
        journal.close()
        log.info("meanwhile")
        with closing(Journal(path)) as journal:
            assert journal.read()["MESSAGE"] == "meanwhile"
        assert logs.lost == 0


def test_the_end_is_not_held_up_by_a_journal_that_hangs(tmp_path: Path):
    with closing(Journal(tmp_path / "socket")) as journal:
        with logging_to(journal.path) as logs:
            for number in range(100):
                log.info("%s", f"message {number}")
        # Ten or so wait in the socket, and nobody waits for the others.
        assert 0 < logs.lost < 100
    assert "edge-log" not in [thread.name for thread in threading.enumerate()]


def test_without_a_journal_lines_are_written_instead(tmp_path: Path):
    done = run_logging('settings = LoggingSettings(format="journal")', tmp_path / "none")
    assert done.returncode == 0
    first, second = map(json.loads, done.stderr.splitlines())
    assert "there is no journal" in first["message"]
    assert second["message"] == "yard: hello"


def test_the_journal_is_chosen_where_systemd_connected_standard_error_to_it(tmp_path: Path):
    with closing(Journal(tmp_path / "socket")) as journal:
        read_end, write_end = os.pipe()
        status = os.fstat(write_end)
        variables = {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"}
        with start_logging(
            "settings = LoggingSettings()", journal.path, write_end, variables
        ) as it:
            os.close(write_end)
            assert journal.read()["MESSAGE"] == "yard: hello"
            assert it.wait(20) == 0
        assert os.read(read_end, 1000) == b""
        os.close(read_end)


def test_lines_are_json_where_standard_error_is_something_else(tmp_path: Path):
    with closing(Journal(tmp_path / "socket")) as journal:
        # As inherited from a parent whose own output the journal takes.
        variables = {"JOURNAL_STREAM": "8:1"}
        done = run_logging("settings = LoggingSettings()", journal.path, variables)
    assert json.loads(done.stderr)["message"] == "yard: hello"


def test_a_pipe_that_nobody_reads_stops_neither_the_program_nor_its_end(tmp_path: Path):
    read_end, write_end = os.pipe()
    flood = """
        settings = LoggingSettings(format="json")
        flood = 5_000
        """
    with start_logging(flood, tmp_path / "none", write_end) as program:
        os.close(write_end)
        assert program.stdout is not None
        assert program.stdout.readline() == b"worked on\n"
        assert program.wait(20) == 0
    said = b""
    while part := os.read(read_end, 65536):
        said += part
    os.close(read_end)
    assert b"Fatal Python error" not in said
    assert said.startswith(b'{"timestamp"')


def test_a_reader_that_goes_away_does_not_end_the_program(tmp_path: Path):
    read_end, write_end = os.pipe()
    os.close(read_end)
    with start_logging(
        'settings = LoggingSettings(format="json")', tmp_path / "none", write_end
    ) as program:
        os.close(write_end)
        assert program.wait(20) == 0
        assert program.stdout is not None
        assert program.stdout.read() == b"worked on\n"


def test_what_was_said_last_is_written_before_the_program_ends(tmp_path: Path):
    many = """
        settings = LoggingSettings(format="json")
        flood = 500
        """
    lines = run_logging(many, tmp_path / "none").stderr.splitlines()
    assert [json.loads(line)["message"] for line in lines[-2:]] == ["number 499", "yard: hello"]
    assert len(lines) == 501


def test_a_real_journald_shows_messages_and_finds_them_by_camera(tmp_path: Path):
    run = subprocess.run(["unshare", "--mount", "true"], check=False, capture_output=True)
    if run.returncode != 0 or not JOURNALD.exists():
        not_allowed("needs root, namespaces and systemd-journald (apt-get install systemd)")
    script = tmp_path / "journal.sh"
    script.write_text(
        textwrap.dedent(f"""\
        set -e
        mount -t tmpfs none /run
        mkdir -p /run/systemd/journal /run/log/journal
        {JOURNALD} & journald=$!
        trap 'kill $journald' EXIT
        for _ in $(seq 100); do [ -S /run/systemd/journal/socket ] && break; sleep 0.1; done
        {sys.executable} {write_script(tmp_path, 'settings = LoggingSettings(format="journal")')} \\
            /run/systemd/journal/socket >&2
        for _ in $(seq 100); do
            journalctl --directory /run/log/journal/* --output json CAMERA=yard && break
            sleep 0.1
        done
        """)
    )
    done = subprocess.run(
        ["unshare", "--mount", "bash", script], check=False, capture_output=True, timeout=60
    )
    assert done.returncode == 0, done.stderr.decode()
    entry = json.loads(done.stdout.splitlines()[-1])
    assert entry["MESSAGE"] == "yard: hello"
    assert (entry["PRIORITY"], entry["SYSLOG_IDENTIFIER"]) == ("6", "edge-detect")
    assert entry["_TRANSPORT"] == "journal"


def test_lines_for_people_are_written_to_a_terminal(tmp_path: Path):
    ours, theirs = os.openpty()
    with start_logging("settings = LoggingSettings()", tmp_path / "none", theirs) as program:
        os.close(theirs)
        assert program.wait(20) == 0
        said = os.read(ours, 4096)
    os.close(ours)
    assert b"\x1b[" in said
    assert b"yard: hello" in said
    assert b"{" not in said


def test_the_daemon_tells_the_figures_of_every_camera_and_no_password(tmp_path: Path):
    config = f"""
        [cameras.yard]
        source = "synthetic://?size=320x180&fps=20&realtime=true"
        model = "{MODEL}"

        [cameras.away]
        source = "rtsp://admin:${{CAMERA_PASSWORD}}@127.0.0.1:{free_port()}/live"
        model = "{MODEL}"

        [logging]
        format = "json"
        interval_s = 1
        """
    secret = {"CAMERA_PASSWORD": "hunter22"}
    with running_daemon(tmp_path, textwrap.dedent(config), secret) as daemon:
        daemon.wait_until_ready()
        wait_for(lambda: daemon.log.count("fps_detected") >= 6, 30)
        daemon.stop()
        lines = [json.loads(line) for line in daemon.log.splitlines()]
    assert "hunter22" not in daemon.log
    figures = {name: [] for name in ("yard", "away")}
    for line in lines:
        if "fps_detected" in line:
            figures[line["camera"]].append(line)
    best = max(figures["yard"], key=lambda line: line["fps_detected"])
    assert best["fps_captured"] > 0
    assert 0 < best["capture_to_detect_p50_ms"] <= best["capture_to_detect_p99_ms"]
    assert best["message"].startswith("yard: captured ")
    assert all(line["message"].startswith("away: connecting for ") for line in figures["away"])


def write_script(folder: Path, begin: str) -> Path:
    """A program that logs; its argument is the journal's socket."""
    script = folder / "logging_program.py"
    begin = textwrap.dedent(begin).strip()
    script.write_text(
        "import logging, sys\n"
        "from pathlib import Path\n"
        "from edge_detect.service.config.settings import LoggingSettings\n"
        "from edge_detect.service.logs import configure_logging\n"
        "flood = 0\n"
        f"{begin}\n"
        "configure_logging(settings, journal=Path(sys.argv[1]))\n"
        "log = logging.getLogger('edge_detect.program')\n"
        "for number in range(flood):\n"
        "    log.info('%s', f'number {number}')\n"
        "log.info('hello', extra={'camera': 'yard'})\n"
        "print('worked on', flush=True)\n"
    )
    return script


@contextmanager
def start_logging(
    begin: str, journal: Path, errors: int, variables: dict[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """The program at work, with that descriptor as its standard error."""
    environment = {**os.environ, **(variables or {})}
    environment.pop("NO_COLOR", None)
    with subprocess.Popen(
        [sys.executable, write_script(journal.parent, begin), journal],
        stdout=subprocess.PIPE,
        stderr=errors,
        env=environment,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def run_logging(
    begin: str, journal: Path, variables: dict[str, str] | None = None
) -> subprocess.CompletedProcess[bytes]:
    """The program from its begin to its end."""
    return subprocess.run(
        [sys.executable, write_script(journal.parent, begin), journal],
        check=True,
        capture_output=True,
        env={**os.environ, **(variables or {})},
        timeout=30,
    )
