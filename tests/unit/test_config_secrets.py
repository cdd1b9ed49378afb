"""Secrets: where they come from, and that they are nowhere to be seen."""

import logging
from functools import partial
from pathlib import Path

import pytest
from support.config_files import CAMERA, only, problems_of, write_file

from edge_detect.core.url import parse_url
from edge_detect.service.config.dump import dump_settings
from edge_detect.service.config.load import load_settings, read_settings
from edge_detect.service.config.problems import ConfigFileError, show_url
from edge_detect.service.config.settings import CameraSettings
from edge_detect.service.logs.redact import redact

SECRET = "hunter2/@:#?% 'ä"  # noqa: S105 - only of these tests


@pytest.fixture
def write(tmp_path: Path):
    """A function that writes a file and returns its path."""
    return partial(write_file, tmp_path)


def test_secrets_come_from_variables_credentials_and_files(write, tmp_path) -> None:
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    (credentials / "broker.password").write_text("from a credential\n")
    (credentials / "BOTH").write_text("not this")
    write("  from a file \r\n", "web.password")
    path = write(
        CAMERA
        + 'sinks = ["http://me:${BOTH}@:8081"]\n'
        + '[mqtt]\nhost = "${HOST}.local"\nuser = "u"\npassword = "${broker.password}"\n'
        + '[web]\nuser = "$${x}"\npassword_file = "web.password"\ntoken_file = "broker.password"\n'
    ).rename(tmp_path / "c.toml")
    (credentials / "broker.password").write_text("credential.0123\n")
    environment = {
        "HOST": "pi",
        "BOTH": SECRET,
        "CREDENTIALS_DIRECTORY": str(credentials),
    }
    settings = load_settings(path, environment)
    assert settings.mqtt.host == "pi.local"
    assert settings.mqtt.password.get_secret_value() == "credential.0123"
    assert settings.web.user == "${x}"
    assert settings.web.password.get_secret_value() == "  from a file "
    assert settings.web.token.get_secret_value() == "credential.0123"
    assert settings.cameras["door"].sinks == (
        "http://me:hunter2%2F%40%3A%23%3F%25%20%27%C3%A4@:8081",
    )


@pytest.mark.parametrize(
    ("line", "fact"),
    [
        ('user = "${NOWHERE}"', "neither a variable nor a credential 'NOWHERE'"),
        ('user = "${"', "has '${' without a name"),
        ('user = "${a b}"', "has '${' without a name"),
        ('password_file = "none"', "there is no file"),
        ("password_file = 5", "must be the path of a file"),
        ('password_file = ""', "must be the path of a file"),
        ('password_file = "/"', "there is no file"),
        ('password_file = "empty"', "is empty"),
        ('password_file = "binary"', "holds no text"),
        ('password_file = "large"', "is too large"),
        ('user = "u"\npassword = "a"\npassword_file = "empty"', "stands beside 'password'"),
    ],
)
def test_a_secret_that_cannot_be_had_is_one_error_on_its_line(write, line, fact) -> None:
    write("", "empty")
    write(b"\xff", "binary")
    write("x" * 70_000, "large")
    found = only(problems_of(write(f'{CAMERA}[mqtt]\nhost = "b"\n{line}\n')))
    assert found[0] == 5 + len(line.split("\n"))
    assert fact in found[2]


def test_no_error_shows_a_secret(write) -> None:
    path = write(
        '[cameras.door]\nsource = "rtsp://me:${PASSWORD}@cam/live?transport=${PASSWORD}"\n'
        'model = "${PASSWORD}"\n'
        'sinks = ["http://me:hunter2literal@:8080/x", "me:hunter2literal@:8080"]\n'
        'source_user = "me"\nsource_password = 5\n'
        '[web]\ntoken = "hunter2 literal"\nlisten = "me:hunter2literal@x"\n'
        'pasword = "hunter2literal"\n'
        '[mqtt]\nhost = "b"\ntopic = "#${PASSWORD}"\n'
        'mqtt = "mqtt://me:hunter2literal@b"\n'
    )
    with pytest.raises(ConfigFileError) as caught:
        load_settings(path, {"PASSWORD": SECRET})
    assert len(caught.value.problems) >= 8
    shown = str(caught.value) + repr(caught.value)
    assert "hunter2" not in shown
    assert "got '#${PASSWORD}'" in shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("rtsp://me:secret@cam:554/live?token=x&fps=5", "rtsp://***@cam:554/live?token=***&fps=5"),
        ("rtsp://me:se/cr@et@cam/live", "rtsp://***"),
        ("http://me:${PASSWORD}@:8080", "http://***@:8080"),
        ("rtsp://cam/${PATH}", "rtsp://cam/${PATH}"),
        ("me:secret@cam/live", "***@cam/live"),
        ("127.0.0.1:8080", "127.0.0.1:8080"),
        ("plain text", "plain text"),
    ],
)
def test_urls_are_shown_without_logins(text, shown) -> None:
    assert show_url(text) == shown


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        ("rtsp://cam/user=me&password=${PW}&channel=1", "password%3D***%26channel%3D1"),
        ("rtsp://cam/user=me_password=in_clear1_channel=1", "password%3D***_channel%3D1"),
        ("http://cam/cgi?loginuse=me&loginpas=${PW}&usr=x&pw=${PW}", "loginpas=***&usr=***&pw=***"),
        ("rtsp://cam/live/${STREAM_KEY}", "/live/***"),
        ("rtsp://cam/live/${credential}?x=${credential}", "/live/***?x=***"),
        ("rtsp://cam/live/${CHANNEL}", "/live/42424242"),
    ],
)
def test_a_secret_is_shown_nowhere_wherever_it_stands_in_a_url(
    write, tmp_path, source, shown
) -> None:
    write("x/credential\n", "credential")
    environment = {
        "PW": "in/clear2",
        "STREAM_KEY": "in/clear3",
        "CHANNEL": "42424242",
        "CREDENTIALS_DIRECTORY": str(tmp_path),
    }
    path = write(f'[cameras.door]\nsource = "{source}"\nmodel = "yolov3-tiny-coco"\n')
    settings = load_settings(path, environment)
    url = settings.cameras["door"].source
    assert "${" not in url, "it is opened with its secrets"
    said = repr(settings) + dump_settings(settings) + parse_url(url).name + redact(f"lost: {url}")
    assert said.count(shown) >= 3
    for secret in ("clear1", "clear2", "clear3", "x/credential", "x%2Fcredential"):
        assert secret not in said


def test_passwords_in_files_for_everybody_are_warned_of(write, caplog) -> None:
    write("x", "word", mode=0o644)
    path = write(f'{CAMERA}[web]\nuser = "me"\npassword_file = "word"\n', mode=0o644)
    loaded = read_settings(path, {})
    assert [warning.line for warning in loaded.warnings] == [6]
    with caplog.at_level(logging.WARNING):
        load_settings(path, {})
    assert "every user may read" in caplog.text
    path = write(f'{CAMERA}sinks = ["http://me:secret@:8080"]\n', mode=0o644)
    assert [warning.fact for warning in read_settings(path, {}).warnings] == [
        "every user may read the passwords in this file"
    ]
    path.chmod(0o640)
    assert read_settings(path, {}).warnings == ()
    path = write(f'{CAMERA}sinks = ["http://me:${{PASSWORD}}@:8080"]\n', mode=0o644)
    assert read_settings(path, {"PASSWORD": "x"}).warnings == ()


def test_the_login_is_put_into_the_source_only_to_open_it() -> None:
    camera = CameraSettings(
        source="rtsp://cam:554/live?x=1", source_user="me@home", source_password=SECRET, model="m"
    )
    assert camera.source == "rtsp://cam:554/live?x=1"
    assert camera.source_url() == (
        "rtsp://me%40home:hunter2%2F%40%3A%23%3F%25%20%27%C3%A4@cam:554/live?x=1"
    )
    assert CameraSettings(source="/dev/video0", model="m").source_url() == "/dev/video0"
    assert "hunter2" not in repr(camera) + str(camera.model_dump()) + camera.model_dump_json()
