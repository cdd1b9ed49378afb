"""What a configuration file says, or what is wrong with it: all at once, each by its line."""

import os
from functools import partial
from pathlib import Path

import pytest
from support.config_files import CAMERA, only, problems_of, write_file

from edge_detect.core import ConfigError
from edge_detect.service.config.load import load_settings, read_settings
from edge_detect.service.config.problems import ConfigFileError
from edge_detect.service.config.settings import Settings


@pytest.fixture
def write(tmp_path: Path):
    """A function that writes a file and returns its path."""
    return partial(write_file, tmp_path)


def test_a_small_file_is_enough_and_the_rest_has_defaults(write) -> None:
    settings = load_settings(write(CAMERA), {})
    assert list(settings.cameras) == ["door"]
    assert settings.logging.interval_s == 60
    assert settings.web is None


def test_all_errors_are_told_at_once_with_file_line_key_value_and_what_is_allowed(write) -> None:
    path = write(
        """\
[logging]
level = "loud"

[cameras.door]
source = "v4l2:///dev/video0?sise=1"
model = "yolov3-tiny-coc"
treshold = 0.5
threshold = 2

[cameras.yard]
sorce = "x"
model = "yolov3-tiny-coco"
classes = ["car", "persn"]
sinks = [
  "ftp://x",
]
[cameras.yard.zones.gate]
polygon = [[0, 0], [1, 1], [1, 0],
  [0, 1]]

[web]
listen = "8080"
"""
    )
    with pytest.raises(ConfigFileError) as caught:
        load_settings(path, {})
    lines = str(caught.value).split("\n")
    for line in [
        f"{path}:2: logging.level: must be 'debug', 'info', 'warning' or 'error', got 'loud'",
        f"{path}:5: cameras.door.source: 'v4l2:///dev/video0?sise=1' has the unknown option 'sise'",
        f"{path}:6: cameras.door.model: no model is called 'yolov3-tiny-coc'",
        f"{path}:7: cameras.door.treshold: unknown key",
        "    did you mean 'threshold'?",
        f"{path}:8: cameras.door.threshold: must be at most 1, got 2",
        f"{path}:10: cameras.yard.source: is missing",
        f"{path}:11: cameras.yard.sorce: unknown key",
        f"{path}:13: cameras.yard.classes[1]: the model does not know the class 'persn'",
        f"{path}:15: cameras.yard.sinks[0]: no sink handles 'ftp://x': unknown scheme 'ftp'",
        f"{path}:18: cameras.yard.zones.gate.polygon: crosses or touches itself: edge 1 and edge 3",
        f"{path}:22: web.listen: must be ADDRESS:PORT, got '8080'",
    ]:
        assert line in lines
    assert lines[0] == "11 errors in the configuration"
    assert caught.value.exit_code == 78


@pytest.mark.parametrize(
    ("text", "line", "fact", "hint"),
    [
        ("a = 1\nb = \n", 2, "this is not TOML: invalid value", ""),
        ("a = 1\nb = yes please\n", 2, "this is not TOML", "put text in quotes"),
        ("web: 1", 1, "this is not TOML", "write key = value"),
        ('a = "x', 1, "this is not TOML", ""),
        ("[a]\n[a]\n", 2, "this is not TOML: cannot declare", ""),
        (b"a = 1\nb = '\xff'", 2, "this is not UTF-8", "save the file as UTF-8"),
        ("", 0, "is missing", "[cameras.NAME]"),
        ("cameras = {}", 1, "names no camera", ""),
    ],
)
def test_a_file_that_cannot_be_understood_is_one_error_at_its_place(
    write, text, line, fact, hint
) -> None:
    found = only(problems_of(write(text)))
    assert found[0] == line
    assert fact in found[2]
    assert hint in found[3]


def test_a_syntax_error_has_a_column(write) -> None:
    path = write("a = 1\nb = 2 3\n")
    with pytest.raises(ConfigFileError, match=rf"{path}:2:7: this is not TOML"):
        load_settings(path, {})


def test_files_that_cannot_be_read_are_one_clear_error_each(tmp_path) -> None:
    with pytest.raises(ConfigError, match="there is no configuration file") as caught:
        load_settings(tmp_path / "none.toml")
    assert "config init" in caught.value.hint
    with pytest.raises(ConfigError, match="is a directory"):
        load_settings(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ConfigError, match="is no file"):
        load_settings(tmp_path / "pipe")
    (tmp_path / "huge.toml").write_bytes(b"#" * 1_000_001)
    with pytest.raises(ConfigError, match="too large"):
        load_settings(tmp_path / "huge.toml")
    with pytest.raises(ConfigError, match="cannot read"):
        load_settings(tmp_path / ("x" * 300))


@pytest.mark.parametrize(
    ("added", "key", "fact"),
    [
        ('threads = "x"', "cameras.door.threads", "unknown key"),
        ("source_user = 5", "cameras.door.source_user", "must be text, in quotes, got 5"),
        ("enabled = 7", "cameras.door.enabled", "must be true or false, got 7"),
        ("max_fps = 0", "cameras.door.max_fps", "must be more than 0, got 0"),
        ("max_fps = nan", "cameras.door.max_fps", "must be at most 1000, got nan"),
        ('sinks = "null://"', "cameras.door.sinks", "must be a list, in [ ], got 'null://'"),
        ("zones = 1", "cameras.door.zones", "must be a table, got 1"),
        ("zones.y.polygon = [[0, 0], [1], [1, 1]]", "cameras.door.zones.y.polygon.1", "[x, y]"),
        ("zones.y.polygon = [[0, 0], [1, 1]]", "cameras.door.zones.y.polygon", "2 of at least 3"),
        ("zones.y.polygon = [[0, 0], [1, 2], [1, 1]]", "cameras.door.zones.y.polygon.1.1", "most"),
        ("zones.y = {}", "cameras.door.zones.y.polygon", "is missing"),
        ('zones."a b".polygon = [[0, 0], [1, 0], [1, 1]]', "cameras.door.zones.a b", "no name"),
        ("sizes.car = { min_width = 0.5, max_width = 0.1 }", "cameras.door.sizes.car", "is more"),
        ("sizes.cra = { min_width = 0.5 }", "cameras.door.sizes.cra", "does not know the class"),
        ('source_password = "x"', "cameras.door", "source_password needs source_user"),
        ('source_user = "x"', "cameras.door.source_user", "means nothing for camera"),
        ('detector = "fast"', "cameras.door.detector", "stands beside 'model'"),
        ('sinks = ["mp4://x?events=persn"]', "cameras.door.sinks.0", "does not know the class"),
        ('sinks = ["mp4://x?kep=1GB"]', "cameras.door.sinks.0", "unknown option 'kep'"),
        ('sinks = ["file://\\u0000"]', "cameras.door.sinks.0", "cannot stand in a name"),
    ],
)
def test_what_is_wrong_with_a_camera_is_told_by_key_and_line(write, added, key, fact) -> None:
    found = problems_of(write(CAMERA + added + "\n"))
    assert [(each[0], each[1]) for each in found if fact in each[2]] == [
        (1 if key == "cameras.door" else 4, key)
    ]


@pytest.mark.parametrize(
    ("table", "key", "fact"),
    [
        ("[web]\npassword = 5", "web.password", "must be text, in quotes"),
        ('[web]\nuser = "me"', "web", "user and password need each other"),
        ('[web]\ntoken = "short"', "web.token", "8 to 256"),
        ('[mqtt]\nhost = "b"\nport = true', "mqtt.port", "must be a whole number, got true"),
        ("[thermal]\nlimit_c = true", "thermal.limit_c", "must be a number, got true"),
        ('[mqtt]\nhost = "b"\ntopic = "a/#"', "mqtt.topic", "no wildcard"),
        ('[mqtt]\nhost = "b"\ntopic = "/a"', "mqtt.topic", "begin and end with a name"),
        ('[mqtt]\nhost = "b"\npassword = "x"', "mqtt.password", "without a user"),
        ('[mqtt]\nhost = "b"\ntls_ca = "x"', "mqtt.tls_ca", "without tls = true"),
        ('[mqtt]\nhost = "b"\ntls = true\ntls_ca = "/no"', "mqtt.tls_ca", "there is no file"),
        ("[mqtt]", "mqtt.host", "is missing"),
        ("[metrics]\nport = 1", "metrics.port", "unknown key"),
        ("[metric]", "metric", "unknown key"),
        ('[detectors.a]\nmodel = "no"', "detectors.a.model", "no model is called"),
        ('[detectors.a]\nmodel = "/no.tflite"', "detectors.a.model", "there is no model file"),
    ],
)
def test_what_is_wrong_with_another_table_is_told_by_key(write, table, key, fact) -> None:
    found = only(problems_of(write(CAMERA + table + "\n")))
    assert found[1] == key
    assert fact in found[2]
    assert "x" not in found[2].partition("got")[2]


def test_an_empty_source_is_an_error_and_not_the_working_directory(write) -> None:
    (found,) = problems_of(write(CAMERA.replace('"camera://"', '""')))
    assert found[1:3] == ("cameras.door.source", "is empty")


def test_a_model_whose_file_is_not_here_is_told_with_the_way_to_get_it(write) -> None:
    path = write('[cameras.a]\nsource = "camera://"\nmodel = "efficientdet_lite0_320_ptq"\n')
    found = only(problems_of(path))
    assert "is not here" in found[2]
    assert found[3] == "fetch it with: edge-detect models pull efficientdet_lite0_320_ptq"


def test_a_camera_has_a_model_or_a_detector_that_there_is(write) -> None:
    camera = '[cameras.a]\nsource = "camera://"\n'
    assert only(problems_of(write(camera)))[2] == "has neither 'model' nor 'detector'"
    shared = '[detectors.shared]\nmodel = "yolov3-tiny-coco"\n'
    found = only(problems_of(write(f'{camera}detector = "share"\n{shared}')))
    assert found[1:] == (
        "cameras.a.detector",
        "there is no [detectors.share]",
        "did you mean 'shared'?",
    )
    assert load_settings(write(f'{camera}detector = "shared"\n{shared}'), {}).detectors


def test_zones_are_not_told_apart_by_upper_and_lower_case(write) -> None:
    corners = "polygon = [[0, 0], [1, 0], [1, 1]]\n"
    path = write(f"{CAMERA}[cameras.door.zones.A]\n{corners}[cameras.door.zones.a]\n{corners}")
    assert only(problems_of(path))[:2] == (6, "cameras.door.zones.a")


@pytest.mark.parametrize(
    ("one", "other", "fact"),
    [
        ('sinks = ["rtsp://:8554/a"]', 'sinks = ["rtsp://127.0.0.1/a"]', "path /a of port 8554"),
        ('sinks = ["rtsp://:8554/a"]', 'sinks = ["rtsp://0.0.0.0:8554/b"]', "port 8554"),
        ('sinks = ["http://:8080"]', 'sinks = ["rtsp://:8080/a"]', "port 8080"),
        ('sinks = ["http://:8080"]', 'sinks = ["http://"]', "port 8080"),
        ('sinks = ["mp4:///srv/rec"]', 'sinks = ["mp4:///srv/./rec/"]', "directory /srv/rec"),
        ('sinks = ["x.jsonl"]', 'sinks = ["jsonl://x.jsonl"]', "file"),
        ('sinks = ["rtsp-push://h/a"]', 'sinks = ["rtsp-push://me:x@h:554/a"]', "stream h:554/a"),
        ('source = "v4l2:///dev/video0"', 'source = "/dev/video0"', "device /dev/video0"),
        ('source = "picamera2://"', 'source = "picamera2://0"', "CSI camera 0"),
    ],
)
def test_two_cameras_cannot_have_the_same_for_themselves(write, one, other, fact) -> None:
    path = write(_two_cameras(one, other))
    found = only(problems_of(path))
    assert found[2].startswith(fact)
    assert "is taken by cameras.a." in found[2]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ('sinks = ["rtsp://:8554/a"]', 'sinks = ["rtsp://:8554/b"]'),
        ('sinks = ["-"]', 'sinks = ["-"]'),
        ('sinks = ["null://"]', 'sinks = ["null://"]'),
        ('source = "rtsp://cam/a"', 'source = "rtsp://cam/a"'),
        ('sinks = ["http://10.0.0.1:80"]', 'sinks = ["http://10.0.0.2:80"]'),
    ],
)
def test_what_can_be_shared_is_no_error(write, one, other) -> None:
    assert len(load_settings(write(_two_cameras(one, other)), {}).cameras) == 2


def test_page_metrics_and_sinks_need_ports_of_their_own(write) -> None:
    text = f'{CAMERA}sinks = ["rtsp://:9464/a"]\n[metrics]\n[web]\nlisten = "0.0.0.0:9464"\n'
    assert [each[1] for each in problems_of(write(text))] == ["cameras.door.sinks.0", "web.listen"]


def _two_cameras(one: str, other: str) -> str:
    text = ""
    for name, line in (("a", one), ("b", other)):
        source = "" if "source" in line else f'source = "rtsp://{name}/live"\n'
        text += f'[cameras.{name}]\n{source}model = "yolov3-tiny-coco"\n{line}\n'
    return text


def test_a_detector_that_no_camera_uses_is_warned_of(write) -> None:
    path = write(f'{CAMERA}[detectors.idle]\nmodel = "yolov3-tiny-coco"\n')
    assert [(each.line, each.fact) for each in read_settings(path, {}).warnings] == [
        (4, "no camera uses it")
    ]


def test_settings_never_change() -> None:
    settings = Settings.model_validate({"cameras": {"a": {"source": "x", "model": "m"}}})
    with pytest.raises(ValueError, match="frozen"):
        settings.cameras["a"].source = "y"


def test_a_byte_order_mark_is_no_error(write) -> None:
    assert load_settings(write(b"\xef\xbb\xbf" + CAMERA.encode()), {}).cameras
