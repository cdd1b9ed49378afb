"""The reference, the schema and the sample say what the program does."""

import json
import re
from importlib import resources
from pathlib import Path

import pytest
from support.config_files import write_file

from edge_detect.service.config.load import read_settings
from edge_detect.service.config.reference import reference
from edge_detect.service.config.schema import json_schema, keys_of, secret_keys, section_at
from edge_detect.service.config.settings import Settings

ROOT = Path(__file__).parents[2]
TABLES = [
    (),
    ("cameras", "a"),
    ("cameras", "a", "zones", "b"),
    ("cameras", "a", "masks", "b"),
    ("cameras", "a", "sizes", "b"),
    ("detectors", "a"),
    *((key,) for key in Settings.model_fields if key not in ("cameras", "detectors")),
]


def sample() -> str:
    return resources.files("edge_detect.service.config").joinpath("sample.toml").read_text()


def test_the_reference_in_the_documentation_is_that_of_this_program() -> None:
    """Mended by `python -m edge_detect.service.config.reference > docs/configuration.md`."""
    assert (ROOT / "docs" / "configuration.md").read_text() == reference()


@pytest.mark.parametrize("table", TABLES, ids=".".join)
def test_every_key_of_every_table_is_in_reference_and_schema_with_a_meaning(table) -> None:
    section = section_at(table)
    assert section is not None
    schema = json_schema()
    part = schema if table == () else schema["$defs"][section.__name__]
    assert set(part["properties"]) == set(keys_of(section))
    if table == ():
        return
    for key in keys_of(section):
        if key not in ("zones", "masks", "sizes"):
            assert re.search(rf"\| `{key}` \| [^|]+ \| [^|]* \| [^|]+ \|", reference()), key


def test_passwords_and_tokens_can_lie_in_files() -> None:
    assert secret_keys(section_at(("web",))) == ["password", "token"]
    assert secret_keys(section_at(("mqtt",))) == ["password"]
    assert secret_keys(section_at(("cameras", "a"))) == ["source_password"]


def test_the_schema_refuses_unknown_keys_everywhere() -> None:
    schema = json_schema()
    assert all(
        part["additionalProperties"] is False for part in [schema, *schema["$defs"].values()]
    )
    assert json.loads(json.dumps(schema)) == schema


def test_the_schema_refuses_names_that_check_refuses() -> None:
    named = [
        value
        for part in (json_schema(), *json_schema()["$defs"].values())
        for value in part["properties"].values()
        if "patternProperties" in value
    ]
    assert len(named) == 4
    assert all(value["additionalProperties"] is False for value in named)


def test_the_sample_works_as_it_is(tmp_path) -> None:
    loaded = read_settings(write_file(tmp_path, sample()), {})
    assert loaded.warnings == ()
    (camera,) = loaded.settings.cameras.values()
    assert camera.source == "camera://"
    assert "127.0.0.1" in camera.sinks[0]
    assert loaded.settings.web.listen == "127.0.0.1:8080"


def test_everything_that_the_sample_leaves_out_works_too(tmp_path) -> None:
    for name in ("camera", "web", "mqtt"):
        write_file(tmp_path, "secret", f"{name}.password")
    # Comments that are TOML begin with one '#' and a key, a header or a text.
    text = re.sub(r'(?m)^( *)# (?=[a-z_]+ = |\[|"mp4)', r"\1", sample())
    text = text.replace('source = "camera://"', 'source = "rtsp://cam/live"')
    text = text.replace('"rtsp://127.0.0.1:8554/camera",  ', '"rtsp://:8554/camera",')
    loaded = read_settings(write_file(tmp_path, text), {"STREAM_PASSWORD": "x"})
    settings = loaded.settings
    camera = settings.cameras["camera"]
    assert camera.zones
    assert camera.masks
    assert camera.sizes
    assert len(camera.sinks) == 2
    assert camera.source_url() == "rtsp://me:secret@cam/live"
    assert settings.metrics
    assert settings.mqtt
    assert [warning.fact for warning in loaded.warnings] == ["no camera uses it"]
