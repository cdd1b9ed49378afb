"""What the doctor prints, and what it says of a configuration file."""

import json
from pathlib import Path

import pytest

from edge_detect.app.doctor import print_json, print_lines
from edge_detect.app.doctor_config import with_configuration
from edge_detect.tools.doctor.finding import Finding, Level, fail, ok, warn
from edge_detect.tools.doctor.place import Place
from edge_detect.tools.doctor.runner import examine

FOUND = [
    ("System", ok("board", "Raspberry Pi 5")),
    ("Board", warn("time", "not synchronized", "sudo timedatectl set-ntp true")),
    ("Board", fail("power", "at this moment: under voltage", "use the board's own power supply")),
]


def judged(path: Path | None) -> list[Finding]:
    """What is found about a configuration file."""
    place, check = with_configuration(Place(), path)
    return [finding for _, finding in examine([check], place)]


def test_each_finding_is_one_line_without_colours_in_a_pipe(capsys) -> None:
    counted = print_lines(FOUND)
    assert (counted[Level.OK], counted[Level.FAIL]) == (1, 1)
    assert capsys.readouterr().out.splitlines() == [
        "System",
        "  ok    board: Raspberry Pi 5",
        "",
        "Board",
        "  warn  time: not synchronized — sudo timedatectl set-ntp true",
        "  fail  power: at this moment: under voltage — use the board's own power supply",
        "",
        "1 ok, 1 warning, 1 failure",
    ]


def test_json_is_one_object_with_counts(capsys) -> None:
    print_json(FOUND)
    report = json.loads(capsys.readouterr().out)
    assert (report["ok"], report["warn"], report["fail"]) == (1, 1, 1)
    assert report["checks"][1] == {
        "section": "Board",
        "level": "warn",
        "what": "time",
        "value": "not synchronized",
        "advice": "sudo timedatectl set-ntp true",
    }


def test_a_terminal_gets_colours_unless_it_does_not_want_them(capsys, monkeypatch) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.delenv("NO_COLOR", raising=False)
    print_lines(FOUND)
    colored = capsys.readouterr().out
    assert "\033[32mok" in colored
    # Too long for 60 columns: the advice has a line of its own.
    assert "under voltage\n        \033[2m— use the board's own" in colored
    monkeypatch.setenv("NO_COLOR", "1")
    print_lines(FOUND)
    assert "\033" not in capsys.readouterr().out


def test_a_wrong_configuration_fails_with_its_line_and_without_its_secrets(tmp_path) -> None:
    config = tmp_path / "config.toml"
    config.write_text('[cameras.yard]\nsource = "rtsp://me:secret@camera/"\nmodle = "x"\nfps = 2\n')
    [finding] = judged(config)
    assert finding.level is Level.FAIL
    assert finding.value.startswith(f"{config}:")
    assert "more" in finding.value
    assert finding.advice == f"edge-detect config check {config}"
    assert "secret" not in finding.value


@pytest.mark.parametrize("make", ["missing", "folder", "rubbish"])
def test_what_is_no_configuration_at_all_fails(tmp_path, make) -> None:
    path = tmp_path / "config.toml"
    if make == "folder":
        path.mkdir()
    elif make == "rubbish":
        path.write_bytes(b"\xff\x00[[[")
    [finding] = judged(path)
    assert finding.level is Level.FAIL
    assert str(path) in finding.value


def test_a_good_configuration_says_which_ports_and_folders_matter(tmp_path) -> None:
    config = tmp_path / "config.toml"
    folder = tmp_path / "recordings"
    config.write_text(
        f"""
        [cameras.yard]
        source = "synthetic://"
        model = "yolov3-tiny-coco"
        sinks = ["rtsp://:9554/yard", "mp4://{folder}"]
        [web]
        listen = "127.0.0.1:9080"
        """
    )
    place, check = with_configuration(Place(), config)
    assert dict(place.ports) == {9554: "RTSP", 9080: "page"}
    assert place.folders == (folder,)
    [found] = [finding for _, finding in examine([check], place)]
    assert (found.level, found.value) == (Level.OK, f"{config}, 1 camera")
