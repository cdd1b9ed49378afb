"""docs/models.md is true: every key with its default, valid examples, commands that exist."""

import json
import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import pytest
from pydantic_core import PydanticUndefined

from edge_detect.app.cli import main
from edge_detect.core import bundled_path
from edge_detect.models import find_model
from edge_detect.models.anchors import anchor_boxes
from edge_detect.models.infer.families import FAMILY_NAMES
from edge_detect.models.infer.overrides import OVERRIDES, parse_overrides
from edge_detect.models.sections.anchors import (
    BoxAnchors,
    LevelAnchors,
    ListedAnchors,
    MediapipeAnchors,
    SizeAnchors,
    TensorAnchors,
)
from edge_detect.models.sections.decoded import DecodedSpec
from edge_detect.models.sections.dfl import DflLevel, DflSpec
from edge_detect.models.sections.fomo import FomoSpec
from edge_detect.models.sections.ssd import SsdSpec
from edge_detect.models.sections.yolo import YoloHead, YoloSpec
from edge_detect.models.spec import (
    IncompleteManifestError,
    InputSpec,
    ModelSpec,
    NmsSpec,
    Origin,
    validate_manifest,
)

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/models.md").read_text(encoding="utf-8")
SECTIONS = {
    "Top level": ModelSpec,
    "`[input]`": InputSpec,
    "`[nms]`": NmsSpec,
    "`[origin]`": Origin,
    "`[ssd]`": SsdSpec,
    '`[ssd.anchors]`, `kind = "ssd"`': BoxAnchors,
    '`[ssd.anchors]`, `kind = "mediapipe"`': MediapipeAnchors,
    '`[ssd.anchors]`, `kind = "sizes"`': SizeAnchors,
    '`[ssd.anchors]`, `kind = "levels"`': LevelAnchors,
    '`[ssd.anchors]`, `kind = "boxes"`': ListedAnchors,
    '`[ssd.anchors]`, `kind = "tensor"`': TensorAnchors,
    "`[yolo]`": YoloSpec,
    "`[[yolo.heads]]`": YoloHead,
    "`[decoded]`": DecodedSpec,
    "`[dfl]`": DflSpec,
    "`[[dfl.levels]]`": DflLevel,
    "`[fomo]`": FomoSpec,
}
BLOCKS = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
COMMANDS = re.findall(
    r"^(edge-detect (?:[^\n]*\\\n)*[^\n]*)",
    "\n".join(re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)),
    re.MULTILINE,
)


def rows_below(heading: str) -> dict[str, list[str]]:
    """Cells of the table of keys or models below a heading, by the word in their first cell."""
    _, _, text = PAGE.partition(f"# {heading}\n")
    assert text, f"no heading {heading}"
    text = re.split(r"\n#+ ", text)[0]
    table = re.split(r"^\| (?:key|model) \|.*$", text, maxsplit=1, flags=re.MULTILINE)[1]
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in table.partition("\n\n")[0].splitlines()
        if line.startswith("| `")
    ]
    return {cells[0].strip("`"): cells[1:] for cells in rows}


def words_of(annotation: Any) -> Iterator[str]:
    """All texts that a type allows by name."""
    if get_origin(annotation) is Literal:
        yield from (each for each in get_args(annotation) if isinstance(each, str))
    else:
        for part in get_args(annotation):
            yield from words_of(part)


def default_of(field: Any) -> str:
    if field.default_factory is not None:
        made = field.default_factory()
        return json.dumps(made if isinstance(made, list) else {})
    if field.default is PydanticUndefined:
        return "required"
    if field.default is None:
        return "\N{EN DASH}"
    return json.dumps(field.default)


@pytest.mark.parametrize("heading", SECTIONS)
def test_every_key_of_a_manifest_is_there_with_its_default_and_its_choices(heading):
    rows = rows_below(heading)
    fields = SECTIONS[heading].model_fields
    assert set(rows) == set(fields)
    for key, field in fields.items():
        assert rows[key][1].strip("`") == default_of(field), f"default of {key}"
        if get_origin(field.annotation) is Literal:
            shown = set(re.findall(r"`([a-z-]+)`", rows[key][0]))
            assert shown == set(words_of(field.annotation)), f"choices of {key}"
        for word in words_of(field.annotation):
            assert f"`{word}`" in " ".join(rows[key]), f"{word} of {key}"


def test_every_key_of_a_query_is_there_with_its_choices():
    rows = rows_below("Query keys")
    assert set(rows) == set(OVERRIDES)
    for key, (values, _) in rows.items():
        if key == "anchors":
            continue
        for word in re.findall(r"`([^`]+)`", values):
            assert parse_overrides({key: word}), f"{key}={word}"
    chapter = PAGE.partition("### Family\n")[2].partition("### Input\n")[0]
    assert [name for name in FAMILY_NAMES if f"`{name}`" not in chapter] == []


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_an_example_of_a_manifest_is_valid(number, tmp_path):
    data = tomllib.loads(BLOCKS[number])
    path = tmp_path / "example.toml"
    if "name" in data:
        assert validate_manifest(path, data).name == data["name"]
    else:
        with pytest.raises(IncompleteManifestError):
            validate_manifest(path, data)


def test_every_family_and_every_kind_of_anchors_has_an_example():
    examples = [tomllib.loads(block) for block in BLOCKS]
    families = {each["family"] for each in examples if "family" in each}
    assert families == set(get_args(ModelSpec.model_fields["family"].annotation))
    anchors = [each["ssd"]["anchors"] for each in examples if "anchors" in each.get("ssd", {})]
    kinds = {
        next((key for key in ("boxes", "tensor") if key in each), each.get("kind", "ssd"))
        for each in anchors
    }
    assert kinds == {"ssd", "mediapipe", "sizes", "levels", "boxes", "tensor"}


def test_examples_have_as_many_anchors_as_their_models():
    counts = {}
    for block in BLOCKS:
        data = tomllib.loads(block)
        if "name" in data and "anchors" in data.get("ssd", {}):
            spec = ModelSpec.model_validate(data)
            assert spec.ssd is not None
            assert spec.ssd.anchors is not None
            counts[spec.name] = len(anchor_boxes(spec.ssd.anchors, spec.input.frame_size))
    assert counts == {
        "my-ssdlite": 1917,
        "blazeface": 896,
        "ssdlite320-mobilenet-v3-large": 3234,
        "efficientdet-d0": 49104,
    }


def test_the_table_of_bundled_models_is_that_of_their_files():
    rows = rows_below("Bundled models")
    files = {path.stem: path for path in bundled_path("models_tflite").glob("*.tflite")}
    assert files.keys() <= rows.keys()
    for name, file in files.items():
        entry = find_model(name)
        size, classes, megabytes = rows[name][:3]
        assert size == f"{entry.size.width}\N{MULTIPLICATION SIGN}{entry.size.height}"
        assert classes.split()[0] == str(entry.classes)
        assert megabytes == f"{file.stat().st_size / 1e6:.1f} MB"
        assert rows[name][5] == entry.licence


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_on_the_page_is_understood(command, capsys):
    words = shlex.split(command.replace("\\\n", " "))[1:]
    with pytest.raises(SystemExit) as ended:
        main([*words, "--help"])
    assert ended.value.code == 0
    usage = capsys.readouterr().out
    for option in (word for word in words if word.startswith("--")):
        assert option in usage


def test_links_on_the_page_lead_somewhere():
    for target in re.findall(r"\]\(([^)]+)\)", PAGE):
        file, _, place = target.partition("#")
        assert (ROOT / "docs" / file).exists(), target
        if not place:
            continue
        text = (ROOT / "docs" / file).read_text(encoding="utf-8") if file else PAGE
        seen: dict[str, int] = {}
        anchors = set()
        for heading in re.findall(r"^#+ (.+)$", text, re.MULTILINE):
            slug = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
            anchors.add(f"{slug}-{seen[slug]}" if slug in seen else slug)
            seen[slug] = seen.get(slug, 0) + 1
        assert place in anchors, target
