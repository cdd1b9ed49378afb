"""The URLs of recorders and pushes are checked before anything happens."""

import pytest

from edge_detect.core import NS_PER_S, ConfigError, SinkError
from edge_detect.core.url import parse_url
from edge_detect.sinks import open_sink
from edge_detect.sinks.recorder.events import EventRules
from edge_detect.sinks.recorder.sink import _read_keep, _read_rules
from edge_detect.sinks.recorder.store import Keep


@pytest.mark.parametrize(
    ("query", "keep"),
    [
        ("", Keep(None, None, 500_000_000)),
        ("keep=10GB", Keep(10**10, None, 500_000_000)),
        ("keep=7d&reserve=1GB", Keep(None, 604_800, 10**9)),
        ("keep=500MB,12h", Keep(500_000_000, 43_200, 500_000_000)),
    ],
)
def test_what_is_kept_is_an_amount_or_an_age_or_both(query, keep) -> None:
    assert _read_keep(parse_url(f"mp4:///x?{query}")) == keep


@pytest.mark.parametrize(
    ("query", "rules"),
    [
        ("", None),
        ("events=*", EventRules((), 5 * NS_PER_S, 10 * NS_PER_S)),
        ("events=person,car&pre=0s&post=1m", EventRules(("person", "car"), 0, 60 * NS_PER_S)),
        ("events=traffic%20light", EventRules(("traffic light",), 5 * NS_PER_S, 10 * NS_PER_S)),
    ],
)
def test_events_are_classes_and_times(query, rules) -> None:
    assert _read_rules(parse_url(f"mp4:///x?{query}")) == rules


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("mp4:///x?segmnt=5s", "'segmnt'"),
        ("mp4:///x?segment=60", "'segment'"),
        ("mp4:///x?segment=10ms", "'segment'"),
        ("mp4:///x?keep=10", "'keep'"),
        ("mp4:///x?keep=", "'keep'"),
        ("mp4:///x?keep=0GB", "'keep'"),
        ("mp4:///x?keep=5GB,", "'keep'"),
        ("mp4:///x?reserve=5s", "'reserve'"),
        ("mp4:///x?pre=5s", "'pre'"),
        ("mp4:///x?events=", "'events'"),
        ("mp4:///x?events=person,", "'events'"),
        ("mp4:///x?events=person&pre=1h", "'pre'"),
        ("mp4:///x?encoder=h265", "encoder"),
        ("rtsp-push://host/x?transport=sctp", "'transport'"),
        ("rtsp-push://host/x?latency=5", "'latency'"),
        ("rtsp-push://host:99999/x", "port"),
    ],
)
def test_an_impossible_option_is_an_error_that_names_it(url, message) -> None:
    with pytest.raises(ConfigError, match=message):
        open_sink(url)


@pytest.mark.parametrize("url", ["mp4://", "rtsp-push://", "rtsp-push://host", "rtsp-push:///x"])
def test_a_url_that_names_too_little_is_an_error_with_an_example(url) -> None:
    with pytest.raises(SinkError) as caught:
        open_sink(url)
    assert "use " in caught.value.hint


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("mp4:///var/lib/recordings?keep=10GB", "mp4:///var/lib/recordings"),
        ("mp4://recordings", "mp4://recordings"),
        ("rtsp-push://anna:geheim@host:8554/live?fps=5", "rtsp-push://host:8554/live"),
        ("rtsp-push://anna:geheim@[fe80::1]/live", "rtsp-push://[fe80::1]:554/live"),
    ],
)
def test_a_name_tells_where_it_goes_and_no_secrets(url, name) -> None:
    sink = open_sink(url)
    assert sink.name == name
    assert not sink.wants_picture
    sink.close()
    sink.close()
