"""Claims about every configuration, and about every file."""

import re
import string
import tempfile
from pathlib import Path

import pytest
import tomlkit
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge_detect.core import ConfigError
from edge_detect.service.config.changes import find_changes
from edge_detect.service.config.dump import dump_settings
from edge_detect.service.config.load import load_settings
from edge_detect.service.config.places import find_lines
from edge_detect.service.config.problems import ConfigFileError
from edge_detect.service.config.schema import keys_of, section_at
from edge_detect.service.config.settings import Section, Settings
from edge_detect.sinks import SCHEMES as SINKS
from edge_detect.sources import SCHEMES as SOURCES

NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}", fullmatch=True)
TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=12)
SHARES = st.floats(0, 1)
LABELS = st.lists(st.sampled_from(["person", "car", "dog"]), max_size=3)
POLYGONS = st.sampled_from([[[0, 0], [1, 0], [1, 1]], [[0.1, 0.2], [0.9, 0.2], [0.9, 1], [0, 1]]])
ZONES = st.dictionaries(
    st.sampled_from(["yard", "door", "street"]),
    st.fixed_dictionaries({"polygon": POLYGONS}, optional={"classes": LABELS}),
    max_size=2,
)
SIZES = st.fixed_dictionaries({}, optional={"min_width": st.floats(0, 0.5), "max_height": SHARES})
CAMERAS = st.fixed_dictionaries(
    {
        "source": st.sampled_from(["camera://", "rtsp://cam/live", "http://me:pw@cam/?token=x"]),
        "model": st.sampled_from(["yolov3-tiny-coco"]),
    },
    optional={
        "threshold": SHARES,
        "classes": LABELS,
        "max_fps": st.floats(0, 1000, exclude_min=True),
        "overlay": st.sampled_from(["latest", "exact"]),
        "enabled": st.booleans(),
        "zones": ZONES,
        "masks": ZONES,
        "sizes": st.dictionaries(st.sampled_from(["person", "*"]), SIZES, max_size=2),
        "sinks": st.lists(st.sampled_from(["null://", "-", "jsonl://-"]), max_size=2),
    },
)
LOGINS = st.fixed_dictionaries({"user": TEXTS.filter(bool), "password": TEXTS.filter(bool)})
FILES = st.fixed_dictionaries(
    {"cameras": st.dictionaries(NAMES, CAMERAS, min_size=1, max_size=3)},
    optional={
        "logging": st.fixed_dictionaries({"interval_s": st.floats(0, 86_400)}),
        "web": st.just({"listen": "[::1]:8080"}) | LOGINS,
        "mqtt": LOGINS.map(lambda login: {**login, "host": "broker"}),
        "metrics": st.just({}),
        "thermal": st.fixed_dictionaries({"enabled": st.booleans(), "limit_c": st.floats(40, 110)}),
        "history": st.fixed_dictionaries({"keep_days": st.integers(1, 3650)}),
    },
)


@pytest.fixture(scope="module")
def file():
    with tempfile.TemporaryDirectory(prefix="edge-detect-config-") as folder:
        yield Path(folder) / "config.toml"


@settings(max_examples=60, deadline=None)
@given(FILES)
def test_what_is_written_and_read_again_is_the_same(file, data) -> None:
    written = Settings.model_validate(data)
    file.write_text(dump_settings(written, secrets=True), encoding="utf-8")
    read = load_settings(file, {})
    assert read == written
    assert not find_changes(written, read)


@settings(max_examples=60, deadline=None)
@given(FILES)
def test_what_is_shown_holds_no_secret(data) -> None:
    secret = "hunter2-" + string.ascii_letters
    for table in ("web", "mqtt"):
        if "password" in data.get(table, {}):
            data[table]["password"] = secret
    for camera in data["cameras"].values():
        camera["source"] = f"rtsp://me:{secret}@cam/live"
        camera["sinks"] = [f"http://me:{secret}@:8080?token={secret}"]
    written = Settings.model_validate(data)
    for shown in (dump_settings(written), repr(written), str(written.model_dump())):
        assert "hunter2" not in shown
    assert "***@cam/live" in dump_settings(written)


@settings(max_examples=60, deadline=None)
@given(FILES, st.data())
def test_a_misspelt_key_is_told_with_its_line(file, data, draw) -> None:
    text = dump_settings(Settings.model_validate(data), secrets=True)
    rows = text.split("\n")
    plain = {
        path: line
        for path, line in find_lines(text).items()
        if section_at(path[:-1]) is not None and re.match(rf"{path[-1]} =", rows[line - 1])
    }
    path = draw.draw(st.sampled_from(sorted(plain)))
    line = plain[path]
    rows[line - 1] = rows[line - 1].replace(path[-1], f"{path[-1]}x", 1)
    file.write_text("\n".join(rows), encoding="utf-8")
    with pytest.raises(ConfigFileError) as caught:
        load_settings(file, {})
    told = [problem for problem in caught.value.problems if problem.line == line]
    assert [problem.fact for problem in told] == ["unknown key"]
    assert f"{path[-1]!r}" in told[0].hint


def _complaint(file: Path) -> str:
    """What is wrong with a file; its name if nothing is. No other error is caught."""
    try:
        load_settings(file, {"SET": "value"})
    except ConfigError as error:
        return str(error)
    return str(file)


@settings(deadline=None)
@given(st.binary(max_size=200) | st.text("[]{}=\"'.,\n# ab1\\\r\0").map(str.encode))
def test_no_bytes_make_reading_fail_in_another_way(file, data) -> None:
    file.write_bytes(data)
    assert str(file) in _complaint(file)


def _all_keys(section: type[Section] = Settings) -> set[str]:
    names = {"cameras": ("cameras", "a"), "detectors": ("detectors", "a")}
    keys = set(keys_of(section))
    for key in section.model_fields:
        inner = section_at(names.get(key, (key,))) if section is Settings else None
        if inner is not None:
            keys |= _all_keys(inner)
    return keys | {"polygon", "min_width"}


ODD_TEXTS = st.sampled_from(
    [
        *(
            "${SET}",
            "${UNSET}",
            "${",
            "$${",
            "~",
            "/",
            "-",
            "",
            "%zz",
            "\0",
            "a" * 5000,
            "[::1]:80",
        ),
        *("rtsp://[", "rtsp://a:b/c@d", "http://:0", "http://x:99999999", "rtsp://:8554/${SET}"),
        *("mp4://x?keep=0d", "mp4://", "mp4://\0", "v4l2://", "v4l2://\0", "jsonl://%00"),
    ]
)
ODD_VALUES = st.recursive(
    ODD_TEXTS | TEXTS | st.booleans() | st.integers() | st.floats() | st.datetimes() | st.times(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(sorted(_all_keys())) | TEXTS, inner, max_size=4)
    ),
    max_leaves=20,
)
ODD_CAMERAS = st.dictionaries(
    TEXTS | NAMES,
    st.dictionaries(st.sampled_from(keys_of(section_at(("cameras", "a")))), ODD_VALUES),
    max_size=3,
)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.sampled_from(sorted(_all_keys())), ODD_VALUES), ODD_CAMERAS)
def test_no_content_makes_reading_fail_in_another_way(file, data, cameras) -> None:
    file.write_text(tomlkit.dumps({**data, "cameras": cameras}), encoding="utf-8")
    assert str(file) in _complaint(file)


ODD_URLS = ODD_TEXTS | st.builds(
    "{}{}{}".format,
    st.sampled_from([*SOURCES, *SINKS, "x"]),
    st.sampled_from([":", "://", ":///"]),
    TEXTS | st.text(":/@?#[]%&=.0a", max_size=12),
)


@settings(deadline=None)
@given(ODD_URLS, st.lists(ODD_URLS, max_size=2), st.tuples(ODD_TEXTS, ODD_TEXTS))
def test_no_url_makes_reading_fail_in_another_way(file, source, sinks, login) -> None:
    camera = {"source": source, "model": "yolov3-tiny-coco", "sinks": sinks}
    camera |= {"source_user": login[0], "source_password": login[1]}
    file.write_text(tomlkit.dumps({"cameras": {"a": camera}}), encoding="utf-8")
    assert str(file) in _complaint(file)


@pytest.mark.parametrize(
    "text",
    ["a = " + "[" * 20_000, "a = " + "[" * 500 + "]" * 500, "a = " + "9" * 5000, "a=1\n" * 2],
    ids=["deep and open", "deep", "thousands of digits", "twice"],
)
def test_hostile_files_are_refused(file, text) -> None:
    file.write_text(text)
    with pytest.raises(ConfigError):
        load_settings(file, {})
