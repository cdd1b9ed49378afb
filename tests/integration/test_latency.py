"""The self-test of the delay from sensor to viewer, with both kinds of clients."""

import json
import subprocess
import sys

import pytest

FAST_MODEL = "ssdlite-mobilenet-v2-pedestrian"


def measure(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "edge_detect.app.cli", "latency", *arguments],
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )


@pytest.mark.parametrize("client", ["own", "gstreamer"])
def test_every_stage_from_sensor_to_client_is_measured(client):
    arguments = ["--model", FAST_MODEL, "--size", "640x360", "--warmup", "0.3", "--json"]
    done = measure(*arguments, "--duration", "2", "--client", client)
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    stages, end_to_end = figures["stages_ms"], figures["end_to_end_ms"]
    assert list(stages) == [
        "capture_to_detect",
        "capture_to_render",
        "capture_to_encode",
        "encode_to_client",
    ]
    for each in (*stages.values(), end_to_end):
        assert 0 < each["p50"] <= each["p95"] <= each["p99"]
        assert each["n"] > 5
    assert figures["unreadable"] == 0
    # Each picture that came is counted at the client, and between encoder and client.
    assert end_to_end["n"] == stages["encode_to_client"]["n"] == figures["pictures"]
    # The rate is a matter of the machine, its unit is not.
    assert 1 < figures["fps"] < 300
    # What is seen can be no younger than what was encoded.
    assert end_to_end["p50"] > stages["capture_to_encode"]["p50"]


def test_a_table_says_the_same_to_people():
    arguments = ["--model", FAST_MODEL, "--size", "320x240", "--warmup", "0.1"]
    done = measure(*arguments, "--duration", "0.5")
    assert done.returncode == 0, done.stderr
    assert "capture → client" in done.stdout
    assert "pictures a second" in done.stdout


def test_a_misspelt_size_is_an_error_that_shows_a_right_one():
    done = measure("--size", "big")
    assert done.returncode == 2
    assert "1280x720" in done.stderr
