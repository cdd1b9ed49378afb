"""Credentials do not reach a log, whoever says them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_detect.service.logs.redact import redact, redact_field

WORDS = st.text("abcdefghijklmnopqrstuvwxyzABCXYZ0123456789!$^*_~-", min_size=6, max_size=20)


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("rtsp://admin:s3cret@10.0.0.2/live: lost", "rtsp://10.0.0.2/live: lost"),
        (
            "cannot open 'http://u:pw@cam:80/x?token=abc'.",
            "cannot open 'http://cam:80/x?token=***'.",
        ),
        ("rtsp://u:p@a/1,rtsp://u:p@b/2", "rtsp://a/1,rtsp://b/2"),
        ("see https://example.org/a#b for more", "see https://example.org/a#b for more"),
        ("rtsp://:8554/yard: 2 viewers", "rtsp://:8554/yard: 2 viewers"),
        ("Authorization: Basic dXNlcjpwYXNz", "Authorization: Basic ***"),
        ("header Bearer abcdef123456 sent", "header Bearer *** sent"),
        ("connect(password='hunter22', port=1883)", "connect(password='***', port=1883)"),
        ("api_key=abc123&x=1", "api_key=***&x=1"),
        ("threshold=0.5 classes=person", "threshold=0.5 classes=person"),
        ("mail me@example.org", "mail me@example.org"),
    ],
)
def test_what_is_hidden_and_what_is_not(said: str, shown: str):
    assert redact(said) == shown


@given(WORDS, WORDS, st.sampled_from(["", "/", "/live?x=1", ":554/a/b"]))
def test_no_password_in_a_url_survives(user: str, password: str, tail: str):
    password = f"Pw{password}9"
    shown = redact(f"could not read rtsp://{user}:{password}@camera.lan{tail}; trying again")
    assert password not in shown
    assert shown.startswith("could not read rtsp://")
    assert shown.endswith("trying again")


@given(st.text(max_size=300))
def test_any_text_can_be_looked_at(text: str):
    assert isinstance(redact(text), str)


@given(WORDS)
def test_looking_twice_changes_nothing_more(password: str):
    once = redact(f"open http://user:{password}@host/?token={password} password={password}")
    assert redact(once) == once


def test_a_field_is_hidden_by_its_name():
    assert redact_field("mqtt_password", "abc") == "***"
    assert redact_field("source", "rtsp://u:p@h/") == "rtsp://h/"
    assert redact_field("sink", "/recordings") == "/recordings"
