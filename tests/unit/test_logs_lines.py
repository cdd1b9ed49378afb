"""What entries look like, and that everything that is logged becomes one."""

import io
import json
import logging
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from support.waiting import wait_for

from edge_detect.service.config.settings import LoggingSettings
from edge_detect.service.logs import Logs, configure_logging
from edge_detect.service.logs.entry import entry_of
from edge_detect.service.logs.lines import console_lines, journal_fields, json_lines

log = logging.getLogger("edge_detect.pipeline.test")


@contextmanager
def logging_to(stream: io.StringIO, **settings: str) -> Iterator[Logs]:
    """The whole process logs there."""
    given = LoggingSettings.model_validate({"format": "json", **settings})
    logs = configure_logging(given, stream)
    try:
        yield logs
    finally:
        logs.close()


def lines_of(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def open_camera(url: str) -> None:
    raise OSError(f"{url} refused")


def record(message: str, *arguments: object, **extra: object) -> logging.LogRecord:
    made = logging.LogRecord(
        "edge_detect.pipeline.retry", logging.WARNING, "/x/retry.py", 7, message, arguments, None
    )
    vars(made).update(extra)
    return made


def test_a_json_line_has_the_message_and_every_field():
    stream = io.StringIO()
    with logging_to(stream):
        log.warning("lost", extra={"camera": "yard", "source_state": "lost", "for_s": 2.5})
    (line,) = lines_of(stream)
    assert line["level"] == "warning"
    assert line["logger"] == "edge_detect.pipeline.test"
    assert line["message"] == "yard: lost"
    assert line["camera"] == "yard"
    assert line["source_state"] == "lost"
    assert line["for_s"] == 2.5
    assert str(line["timestamp"]).endswith("Z")


def test_an_exception_is_one_record_with_its_traceback():
    stream = io.StringIO()
    with logging_to(stream):
        try:
            open_camera("http://user:hunter22@host/")
        except OSError:
            log.exception("could not be closed")
    (line,) = lines_of(stream)
    assert line["message"] == "could not be closed"
    assert "OSError: http://host/ refused" in str(line["traceback"])
    assert "hunter22" not in stream.getvalue()


def test_the_journal_gets_priority_identity_place_and_fields():
    fields = journal_fields(
        entry_of(record("no answer", camera="yard", sink="rtsp://u:p@h/x", source_state="lost"))
    )
    assert fields["MESSAGE"] == "yard: no answer"
    assert fields["PRIORITY"] == "4"
    assert fields["SYSLOG_IDENTIFIER"] == "edge-detect"
    assert (fields["CAMERA"], fields["SOURCE_STATE"]) == ("yard", "lost")
    assert fields["SINK"] == "rtsp://h/x"
    assert (fields["CODE_FILE"], fields["CODE_LINE"]) == ("/x/retry.py", "7")


@pytest.mark.parametrize(
    ("level", "priority"),
    [("DEBUG", "7"), ("INFO", "6"), ("WARNING", "4"), ("ERROR", "3"), ("CRITICAL", "2")],
)
def test_levels_become_syslog_priorities(level: str, priority: str):
    made = record("x")
    made.levelno = logging.getLevelNamesMapping()[level]
    assert journal_fields(entry_of(made))["PRIORITY"] == priority


def test_names_of_fields_are_made_such_that_the_journal_takes_them():
    extra = {"_private": "a", "größe": "b", "x" * 100: "c", "MESSAGE": "d", "0": "e"}
    fields = journal_fields(entry_of(record("said", **extra)))
    assert fields["MESSAGE"] == "said"
    assert fields["PRIVATE"] == "a"
    assert all(
        len(name) <= 64 and name.isascii() and name.replace("_", "").isalnum() for name in fields
    )
    assert not any(name.startswith(("_", "0")) for name in fields)


def test_a_person_reads_time_level_and_message_without_escapes():
    line = console_lines(colors=False)(entry_of(record("no answer", camera="yard")))
    assert line.endswith("[warning  ] yard: no answer")
    assert "\x1b" not in line
    assert "\x1b" in console_lines(colors=True)(entry_of(record("no answer")))


def test_what_a_camera_says_does_not_steer_the_terminal():
    line = console_lines(colors=False)(entry_of(record("said %s", "\x1b]0;mine\x07\r\x9b1m\n2nd")))
    assert line.endswith("said \\x1b]0;mine\\x07\\x0d\\x9b1m\n2nd")


def test_a_camera_is_named_once():
    assert entry_of(record("yard: no answer", camera="yard")).text == "yard: no answer"


def test_arguments_that_do_not_fit_are_said_and_not_raised():
    text = entry_of(record("%d of %d", "one")).text
    assert "%d of %d" in text
    assert "TypeError" in text


def test_long_texts_are_cut():
    entry = entry_of(record("x" * 100_000, field="y" * 100_000))
    assert len(entry.text) < 10_000
    assert len(str(entry.fields["field"])) < 2_000


def test_warnings_and_exceptions_that_end_threads_are_logged():
    stream = io.StringIO()
    with logging_to(stream):
        warnings.warn("old way", DeprecationWarning, stacklevel=1)
        thread = threading.Thread(target=open_camera, args=("x",), name="edge-test")
        thread.start()
        thread.join(5)
    old, ended = lines_of(stream)
    assert "DeprecationWarning: old way" in str(old["message"])
    assert ended["message"] == "the thread edge-test has ended by an exception"
    assert ended["level"] == "critical"
    assert "OSError: x refused" in str(ended["traceback"])


def test_debugging_is_about_us_and_not_about_libraries():
    stream = io.StringIO()
    with logging_to(stream, level="debug"):
        log.debug("a detail of ours")
        logging.getLogger("library").debug("a detail of theirs")
        logging.getLogger("library").info("an event of theirs")
    messages = [line["message"] for line in lines_of(stream)]
    assert messages == ["a detail of ours", "an event of theirs"]


def test_what_is_held_back_is_said_at_the_end_with_its_count():
    stream = io.StringIO()
    with logging_to(stream):
        for number in range(20):
            log.warning("attempt %d failed", number)
    first, last = lines_of(stream)
    assert first["message"] == "attempt 0 failed"
    assert str(last["message"]).startswith("attempt 19 failed (19 times in ")
    assert last["repeated"] == 19


def test_a_second_configuration_replaces_the_first_and_closing_restores_what_was_before():
    before = logging.getLogger().handlers[:], logging.getLogger().level, threading.excepthook
    first, second = io.StringIO(), io.StringIO()
    with logging_to(first), logging_to(second):
        log.info("said once")
    assert [line["message"] for line in lines_of(second)] == ["said once"]
    assert first.getvalue() == ""
    after = logging.getLogger().handlers[:], logging.getLogger().level, threading.excepthook
    assert after == before


def test_nothing_is_lost_while_the_configuration_changes():
    first, second = io.StringIO(), io.StringIO()
    changed = threading.Event()

    def talk() -> None:
        number = 0
        while not changed.is_set() or number < 50:
            number += 1
            log.info("%s", f"message {number}")
            time.sleep(0.0005)
        said.append(number)

    said: list[int] = []
    thread = threading.Thread(target=talk)
    with logging_to(first):
        thread.start()
        wait_for(lambda: first.getvalue().count("\n") > 5)
        with logging_to(second):
            wait_for(lambda: second.getvalue().count("\n") > 5)
            changed.set()
            thread.join(10)
    assert said[0] == len(lines_of(first)) + len(lines_of(second))


def test_many_threads_lose_nothing():
    stream = io.StringIO()

    def talk(name: str) -> None:
        for number in range(50):
            log.info("%s", f"{name} {number}")

    with logging_to(stream) as logs:
        threads = [threading.Thread(target=talk, args=(str(index),)) for index in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
    assert logs.lost == 0
    assert len({line["message"] for line in lines_of(stream)}) == 400


def test_a_field_that_json_does_not_know_is_written_as_text():
    line = json.loads(json_lines()(entry_of(record("x", place=sys))))
    assert line["place"] == str(sys)


def test_a_field_that_is_not_finite_is_no_number_in_json():
    line = json_lines()(entry_of(record("x", ratio=float("nan"), limit=float("inf"))))
    found = json.loads(line, parse_constant=pytest.fail)
    assert (found["ratio"], found["limit"]) == ("nan", "inf")
