"""Names of models, from names of files that may have no letter in common with them."""

import pytest
from support.made_models import postprocess, write_made

from edge_detect.core import ConfigError, ModelError
from edge_detect.models import find_model
from edge_detect.models.checksum import sha256_of
from edge_detect.models.names import check_name, is_name_of, name_from


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("best (1)", "best-1"),
        ("Größe", "gr-e"),
        ("2024-06", "2024-06"),
        ("猫 v2", "v2"),
        ("猫", ""),
        ("猫 (1)?", ""),
        ("---", ""),
    ],
)
def test_a_name_keeps_what_it_can_of_the_files_name(text, name):
    assert name_from(text) == name


def test_digits_that_other_files_have_too_make_no_name(tmp_path):
    cat = write_made(tmp_path / "猫 (1)?.tflite", **postprocess(classes=3))
    dog = write_made(tmp_path / "犬 (1)?.tflite", **postprocess(classes=4))
    names = [find_model(path).name for path in (cat, dog)]
    assert names == [f"model-{sha256_of(path)[:8]}" for path in (cat, dog)]
    assert len(set(names)) == 2


def test_a_manifest_beside_such_a_file_may_have_the_name_that_was_made_for_it(tmp_path):
    model = write_made(tmp_path / "猫.tflite", **postprocess(classes=3))
    manifest = model.with_suffix(".toml")
    manifest.write_text('name = "model-0123abcd"\n', encoding="utf-8")
    assert find_model(model).name == "model-0123abcd"
    manifest.write_text('name = "dog"\n', encoding="utf-8")
    with pytest.raises(ModelError, match="it is 'dog', not '猫'"):
        find_model(model)
    assert not is_name_of("model-0123abcd", "cat")


@pytest.mark.parametrize(("name", "hint"), [("", "my-model"), ("猫", "my-model"), ("A b", "a-b")])
def test_an_impossible_name_is_refused_with_one_that_is_possible(name, hint):
    with pytest.raises(ConfigError, match="cannot be the name of a model") as error:
        check_name(name)
    assert error.value.hint.endswith(f"such as {hint}")
