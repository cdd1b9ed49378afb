"""Where keys stand in a file, held against what tomllib reads."""

import tomllib
from typing import Any

import pytest
import tomlkit
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_detect.service.config.places import KeyPath, find_lines, show_path

DOCUMENT = """\
# a comment with [brackets] and key = 1
title = "x"  # line 2
a.b."c.d" = 1
'lit.eral' = '''
[not.a.table]
'''

[cameras.door]
source = "rtsp://x"   # 9
sinks = [  # 10
  "one",  # ] 11
  "two", # 12
]
zones.yard = { polygon = [[0, 1],
  [1, 1]], name = "x" }   # 14, 15
text = \"\"\"
a = 1 \\\"\"\" still\"\"\"\"
after = 1979-05-27 07:32:00   # 18

[[list]]
x = 1     # 21
[[list]]
x = 2     # 23
[list.inner]
y = { }   # 25
[[list.deep]]
z = []    # 27
"""


def paths_of(value: Any, path: KeyPath = ()) -> set[KeyPath]:
    """All paths in what tomllib returned."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    found = set()
    for key, child in items:
        found.add((*path, key))
        if isinstance(child, (dict, list)):
            found |= paths_of(child, (*path, key))
    return found


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("title",), 2),
        (("a",), 3),
        (("a", "b", "c.d"), 3),
        (("lit.eral",), 4),
        (("cameras",), 8),
        (("cameras", "door"), 8),
        (("cameras", "door", "source"), 9),
        (("cameras", "door", "sinks"), 10),
        (("cameras", "door", "sinks", 0), 11),
        (("cameras", "door", "sinks", 1), 12),
        (("cameras", "door", "zones", "yard"), 14),
        (("cameras", "door", "zones", "yard", "polygon", 0), 14),
        (("cameras", "door", "zones", "yard", "polygon", 1, 0), 15),
        (("cameras", "door", "zones", "yard", "name"), 15),
        (("cameras", "door", "text"), 16),
        (("cameras", "door", "after"), 18),
        (("list", 0), 20),
        (("list", 0, "x"), 21),
        (("list", 1, "x"), 23),
        (("list", 1, "inner"), 24),
        (("list", 1, "inner", "y"), 25),
        (("list", 1, "deep", 0, "z"), 27),
    ],
)
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_every_way_to_write_a_key_is_found_on_its_line(path, line, newline) -> None:
    assert find_lines(DOCUMENT.replace("\n", newline))[path] == line


def test_all_paths_of_a_document_are_found_and_no_others() -> None:
    assert set(find_lines(DOCUMENT)) == paths_of(tomllib.loads(DOCUMENT))


@pytest.mark.parametrize("text", ["", "\n", "# only", "a=1", "[a]", "[ a . b ]", "a=[[],{},]"])
def test_small_documents_are_no_special_case(text) -> None:
    assert set(find_lines(text)) == paths_of(tomllib.loads(text))


KEYS = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=8)
SCALARS = (
    st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats() | st.dates() | st.datetimes()
) | st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=20)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3)
)


@settings(max_examples=50, deadline=None)
@given(st.dictionaries(KEYS, VALUES, max_size=5))
def test_whatever_a_writer_writes_its_paths_are_found(document) -> None:
    text = tomlkit.dumps(document)
    try:
        read = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return
    assert set(find_lines(text)) == paths_of(read)


@settings(deadline=None)
@given(st.text("ab.=\"'[]{},#\n 1\\"))
def test_whatever_tomllib_reads_its_paths_are_found(text) -> None:
    try:
        read = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return
    assert set(find_lines(text)) == paths_of(read)


def test_paths_are_shown_as_one_would_write_them() -> None:
    assert show_path(("cameras", "door", "sinks", 1)) == "cameras.door.sinks[1]"
    assert show_path(("cameras", "a b")) == "cameras.'a b'"
