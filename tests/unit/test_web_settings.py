"""What the URL of the page may say, and what of it is never shown."""

import pytest

from edge_detect.core import ConfigError
from edge_detect.core.url import parse_url
from edge_detect.sinks import open_sink
from edge_detect.sinks.web.settings import read_settings


def settings_of(text):
    return read_settings(parse_url(text))


def test_without_an_address_only_this_machine_sees_the_page():
    assert settings_of("http://:8080").host == "127.0.0.1"
    assert settings_of("http://").port == 8080
    assert settings_of("http://0.0.0.0:81/").host == "0.0.0.0"  # noqa: S104 - compared
    assert settings_of("http://[::]:81").host == "::"


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("http://", "http://127.0.0.1:8080"),
        ("http://:81/", "http://127.0.0.1:81"),
        ("http://a:b@pi.local", "http://pi.local:8080"),
        ("http://[::1]:81?viewers=2", "http://[::1]:81?viewers=2"),
    ],
)
def test_the_name_is_an_address_that_can_be_opened(url, name):
    assert open_sink(url).name == name


def test_everything_in_the_url_is_understood():
    settings = settings_of(
        "http://anna:p%40ss@pi.lan:8090/?token=0123456789&hosts=Cam.Example,b&viewers=3"
    )
    assert (settings.user, settings.password) == ("anna", "p@ss")
    assert settings.hosts == ("cam.example", "b")
    assert (settings.token, settings.viewers, settings.guarded) == ("0123456789", 3, True)


@pytest.mark.parametrize(
    ("url", "fact"),
    [
        ("http://anna@:8080", "password"),
        ("http://:secret@:8080", "password"),
        ("http://:8080/live", "path"),
        ("http://:8080?token=short", "token"),
        ("http://:8080?token=", "token"),
        ("http://:8080?token=with%20space%0a", "token"),
        ("http://:8080?viewers=0", "viewers"),
        ("http://:8080?colour=red", "colour"),
        ("http://:99999", "port"),
    ],
)
def test_mistakes_are_told_without_the_secret(url, fact):
    with pytest.raises(ConfigError, match=fact) as caught:
        settings_of(url)
    assert "short" not in str(caught.value).replace("too short", "")
    assert "secret" not in str(caught.value)


def test_secrets_are_in_no_name_and_no_representation():
    sink = open_sink("http://anna:hunter22@:8080?token=0123456789abc")
    settings = settings_of("http://anna:hunter22@:8080?token=0123456789abc")
    for text in (sink.name, repr(settings), str(settings)):
        assert "hunter22" not in text
        assert "0123456789abc" not in text
    assert sink.name == "http://127.0.0.1:8080?token=***"


def test_a_sink_that_was_never_opened_can_be_closed():
    sink = open_sink("http://:8080")
    assert not sink.wants_picture
    sink.close()
    sink.close()
