"""The registry of sinks, and JSON lines."""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module

import pytest
from support.stream_info import stream_of

from edge_detect.core import SinkError, Size
from edge_detect.sinks import SCHEMES, open_sink
from edge_detect.sinks.jsonl import JsonLinesSink, format_result
from edge_detect.sinks.null import NullSink
from edge_detect.sinks.video import VideoSink

SIZE = Size(64, 48)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_scheme_has_a_factory(scheme) -> None:
    module, function = SCHEMES[scheme]
    assert callable(getattr(import_module(module), function))


@pytest.mark.parametrize(
    ("url", "kind", "name"),
    [
        ("out.mp4", VideoSink, "out.mp4"),
        ("out.MKV", VideoSink, "out.MKV"),
        ("file:///x/out.mp4", VideoSink, "/x/out.mp4"),
        ("out.jsonl", JsonLinesSink, "out.jsonl"),
        ("jsonl:///x/out", JsonLinesSink, "/x/out"),
        ("-", JsonLinesSink, "-"),
        ("jsonl://-", JsonLinesSink, "-"),
        ("null://", NullSink, "null://"),
    ],
)
def test_urls_and_bare_paths_find_their_sink(url, kind, name) -> None:
    sink = open_sink(url)
    assert type(sink) is kind
    assert sink.name == name
    assert sink.takes_pictures == sink.wants_picture == (kind is VideoSink)
    assert sink.takes_results == (kind is not VideoSink)
    sink.close()
    sink.close()


@pytest.mark.parametrize("url", ["out.txt", "out", "mqtt://host/topic", "jsonl://", "file://"])
def test_what_no_sink_handles_is_an_error_with_a_way_out(url) -> None:
    with pytest.raises(SinkError) as caught:
        open_sink(url)
    assert caught.value.hint


def test_a_line_says_everything_about_a_frame(result_of) -> None:
    line = format_result(result_of(sequence=7, media_ns=280_000_000))
    assert "\n" not in line
    assert json.loads(line) == {
        "sequence": 7,
        "source": "test",
        "captured_ns": 1000,
        "media_ms": 280.0,
        "width": 64,
        "height": 48,
        "detections": [
            {"label": "person", "class_id": 0, "score": 0.8765, "box": [1.0, 2.0, 30.2, 40.1]}
        ],
        "timings_ms": {
            "preprocess": 1.0,
            "invoke": 2.0,
            "postprocess": 3.0,
            "capture_to_detect": 5.0,
        },
    }


def test_one_line_per_frame_also_without_objects(tmp_path, result_of) -> None:
    path = tmp_path / "new" / "folder" / "out.jsonl"
    with open_sink(path) as sink:
        sink.open(stream_of(SIZE, 25.0))
        for sequence in range(3):
            sink.write_result(result_of(sequence=sequence, objects=sequence))
            # Whoever follows the file sees the line at once.
            assert len(path.read_text().splitlines()) == sequence + 1
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [len(line["detections"]) for line in lines] == [0, 1, 2]


def test_an_older_file_is_replaced(tmp_path, result_of) -> None:
    path = tmp_path / "out.jsonl"
    path.write_text("older\n" * 100)
    with open_sink(path) as sink:
        sink.open(stream_of(SIZE))
        sink.write_result(result_of())
    assert len(path.read_text().splitlines()) == 1


@pytest.mark.parametrize("suffix", ["jsonl", "mp4"])
def test_a_file_in_the_way_of_a_directory_is_an_error(tmp_path, suffix) -> None:
    (tmp_path / "file").touch()
    sink = open_sink(tmp_path / "file" / f"out.{suffix}")
    with pytest.raises(SinkError, match="Not a directory") as caught:
        sink.open(stream_of(SIZE))
    assert caught.value.hint
    sink.close()


@pytest.mark.parametrize("suffix", ["jsonl", "mp4"])
def test_a_directory_of_that_name_is_an_error(tmp_path, suffix) -> None:
    (tmp_path / f"out.{suffix}").mkdir()
    sink = open_sink(tmp_path / f"out.{suffix}")
    with pytest.raises(SinkError, match="Is a directory"):
        sink.open(stream_of(SIZE))
    sink.close()


def test_a_full_disk_is_an_error_with_a_hint(result_of) -> None:
    sink = open_sink("jsonl:///dev/full")
    sink.open(stream_of(SIZE))
    with pytest.raises(SinkError, match="No space left") as caught:
        sink.write_result(result_of())
    assert "free some space" in caught.value.hint
    sink.close()


@contextmanager
def nobody_reads() -> Iterator[None]:
    """Standard output is a pipe whose reader has gone."""
    sys.stdout.flush()
    kept = os.dup(1)
    read_end, write_end = os.pipe()
    os.close(read_end)
    os.dup2(write_end, 1)
    os.close(write_end)
    try:
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)


def test_a_reader_that_has_gone_is_an_error_and_no_traceback(result_of) -> None:
    with nobody_reads(), open_sink("-") as sink:
        sink.open(stream_of(SIZE))
        with pytest.raises(SinkError, match="Broken pipe"):
            sink.write_result(result_of())


def test_the_null_sink_takes_everything(result_of) -> None:
    with open_sink("null://") as sink:
        sink.open(stream_of(SIZE))
        sink.write_result(result_of())
    assert not sink.wants_picture
