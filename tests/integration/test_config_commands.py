"""`edge-detect config` as a user meets it."""

import json
import subprocess
import sys
import tomllib
from typing import NamedTuple

import pytest
from support.config_files import CAMERA, write_file

from edge_detect.app.cli import main


class Done(NamedTuple):
    """What a command left behind."""

    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def config(capsys):
    """A function that runs `edge-detect config …` in this process, which saves its start."""

    def run(*arguments) -> Done:
        status = main(["config", *map(str, arguments)])
        return Done(status, *capsys.readouterr())

    return run


def test_a_new_file_is_written_checked_and_shown(config, tmp_path) -> None:
    path = tmp_path / "new" / "config.toml"
    done = config("init", path)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"edge-detect config check {path}" in done.stdout
    assert config("init", "-").stdout == path.read_text()

    done = config("check", path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (
        "ok: 1 camera, 1 model, rtsp://127.0.0.1:8554/camera, page at 127.0.0.1:8080\n"
    )

    shown = tomllib.loads(config("show", path).stdout)
    assert shown["history"]["keep_days"] == 90
    assert shown["cameras"]["camera"]["source"] == "camera://"
    assert json.loads(config("show", path, "--json").stdout) == shown


def test_a_file_that_is_there_is_never_overwritten(config, tmp_path) -> None:
    path = write_file(tmp_path, "mine")
    done = config("init", path)
    assert done.returncode == 78
    assert "is there already" in done.stderr
    assert path.read_text() == "mine"


def test_everything_that_is_wrong_is_printed_and_the_status_says_so(config, tmp_path) -> None:
    path = write_file(tmp_path, CAMERA + 'treshold = 1\n[web]\nlisten = "x"\n')
    done = subprocess.run(
        [sys.executable, "-m", "edge_detect.app.cli", "config", "check", "config.toml"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (78, "")
    assert done.stderr.splitlines()[:3] == [
        "edge-detect: 2 errors in the configuration",
        "config.toml:4: cameras.door.treshold: unknown key",
        "    did you mean 'threshold'?",
    ]
    done = config("check", path, "--json")
    assert (done.returncode, done.stderr) == (78, "")
    told = json.loads(done.stdout)
    assert told["ok"] is False
    assert [(each["line"], each["key"]) for each in told["errors"]] == [
        (4, "cameras.door.treshold"),
        (6, "web.listen"),
    ]


@pytest.mark.parametrize("action", ["check", "show"])
def test_a_file_that_is_not_there_is_an_error_with_a_way_out(config, action, tmp_path) -> None:
    done = config(action, tmp_path / "none.toml")
    assert done.returncode == 78
    assert "hint: write one with: edge-detect config init" in done.stderr
    if action == "check":
        told = json.loads(config("check", tmp_path / "none.toml", "--json").stdout)
        assert "there is no configuration file" in told["errors"][0]["message"]


def test_nothing_prints_a_secret(config, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("WORD", "hunter2-variable")
    write_file(tmp_path, "hunter2-file", "word", mode=0o644)
    path = write_file(
        tmp_path,
        '[cameras.door]\nsource = "rtsp://me:hunter2-url@cam/live"\nmodel = "yolov3-tiny-coco"\n'
        'sinks = ["http://me:${WORD}@:8081?token=hunter2-token"]\n'
        '[web]\nuser = "me"\npassword_file = "word"\n[mqtt]\nhost = "b"\nuser = "u"\n'
        'password = "hunter2-literal"\n',
        mode=0o644,
    )
    for arguments in (["check"], ["check", "--json"], ["show"], ["show", "--json"]):
        done = config(*arguments, path)
        assert done.returncode == 0, done.stderr
        assert "hunter2" not in done.stdout + done.stderr
        if arguments == ["show"]:
            assert 'source = "rtsp://***@cam/live"' in done.stdout
            assert done.stdout.count('password = "***"') == 2
        if arguments == ["check"]:
            assert f"warning: {path}:7: web.password_file: every user may read" in done.stderr


def test_the_schema_is_printed_as_json(config) -> None:
    schema = json.loads(config("schema").stdout)
    assert schema["properties"]["cameras"]
    assert schema["$defs"]["WebSettings"]["properties"]["password_file"]["type"] == "string"
