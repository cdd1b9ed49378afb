"""The models that are known, where they are, and what is said about those that are not."""

import hashlib

import pytest
from support.echo_models import change_manifest, write_model
from support.made_models import tensor, write_made

from edge_detect.core import ModelError, bundled_path, resources, user_models_path
from edge_detect.models import (
    Verification,
    bundled_models,
    find_model,
    list_models,
    load_model,
    model_names,
    verify,
)
from edge_detect.models.checksum import git_blob_of

ABSENT = "ssd_mobilenet_v2_coco_quant_postprocess"


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    folder = tmp_path / "own"
    folder.mkdir()
    monkeypatch.setenv("EDGE_DETECT_MODELS", str(folder))
    return folder


def test_every_manifest_of_the_catalogue_is_valid():
    entries = list_models()
    files = sorted(path.stem for path in bundled_path("models_tflite").glob("*.toml"))
    assert [entry.name for entry in entries] == files
    assert len(files) >= 14


def test_every_bundled_file_is_the_one_its_manifest_describes():
    files = sorted(bundled_path("models_tflite").glob("*.tflite"))
    verdicts = {path.name: verify(path) for path in files}
    assert verdicts == {path.name: (Verification.GOOD, "") for path in files}


def test_official_models_come_from_one_fixed_place_and_are_known_by_their_content():
    official = [entry for entry in list_models() if "google-coral" in entry.spec.origin.url]
    assert len(official) == 14
    for entry in official:
        assert entry.spec.origin.url.startswith("https://")
        assert entry.spec.origin.url.endswith(f"/{entry.spec.file}")
        assert len(entry.spec.git_blob) == 40
        assert entry.licence == "Apache-2.0"
    assert len({entry.spec.git_blob for entry in official}) == 14


def test_coco_ids_lie_where_coco_put_them():
    labels = find_model(ABSENT).spec.labels
    assert len(labels) == 90
    assert find_model(ABSENT).classes == 80
    ids = {"person": 1, "stop sign": 13, "backpack": 27, "bottle": 44, "toilet": 70}
    assert {name: labels.index(name) + 1 for name in ids} == ids
    assert labels[89] == "toothbrush"


def test_models_for_cpu_and_edge_tpu_point_at_each_other():
    specs = {entry.name: entry.spec for entry in list_models()}
    twins = [spec for spec in specs.values() if spec.cpu_twin]
    assert len(twins) == 8
    for spec in twins:
        assert specs[spec.cpu_twin].edgetpu == spec.name


def test_bundled_models_are_those_that_run_here_without_their_twins():
    bundled = [entry.name for entry in bundled_models()]
    files = {path.stem for path in bundled_path("models_tflite").glob("*.tflite")}
    assert set(bundled) < files
    assert "ssd-mobilenet-v2-coco" in bundled
    assert "ssd-mobilenet-v2-coco-edgetpu" in files - set(bundled)


def test_twins_in_floating_point_have_the_same_labels_and_input():
    specs = {entry.name: entry.spec for entry in list_models()}
    named = {spec.name: spec.float_twin for spec in specs.values() if spec.float_twin}
    assert named == {"ssdlite-mobilenet-v2-coco": "ssdlite-mobilenet-v2-coco-float16"}
    for name, twin in named.items():
        assert specs[name].labels == specs[twin].labels
        assert specs[name].input == specs[twin].input


def test_mids_of_open_images_are_those_of_the_labels():
    spec = find_model("ssd-mobilenet-v2-openimages").spec
    mids = dict(zip(spec.labels, spec.mids, strict=True))
    assert len(mids) == len(set(spec.mids)) == 23
    assert mids["Person"] == "/m/01g317"
    assert mids["Car"] == "/m/0k4j"
    # Open Images numbers its classes in the order of their MIDs, and so does this model.
    assert spec.mids == sorted(spec.mids)


def test_a_misspelt_name_gets_the_nearest():
    with pytest.raises(
        ModelError, match="no model is called 'efficientdet_lite0_320_ptk'"
    ) as error:
        load_model("efficientdet_lite0_320_ptk")
    assert "did you mean 'efficientdet_lite0_320_ptq'?" in error.value.hint
    assert "`edge-detect models list`" in error.value.hint


@pytest.mark.parametrize(
    ("name", "meant"), [("YOLO", "'yolov3-tiny-coco'"), ("pedestrian", "2-pedestrian'")]
)
def test_a_part_of_a_name_gets_the_names_that_have_it(name, meant):
    with pytest.raises(ModelError, match=f"no model is called '{name}'") as error:
        find_model(name)
    assert f"{meant}? " in error.value.hint


def test_a_missing_file_gets_the_nearest_beside_it(tmp_path, monkeypatch):
    write_model(tmp_path, name="best")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelError, match=r"there is no model file bset\.tflite") as error:
        find_model("bset.tflite")
    assert f"did you mean 'best.tflite'? check the path from {tmp_path};" in error.value.hint


def test_a_file_may_be_given_as_an_address_of_this_computer(tmp_path):
    path = write_model(tmp_path)
    assert find_model(f"file://{path}").path == path
    with pytest.raises(ModelError, match=f"there is no model file {tmp_path}/no.tflite"):
        find_model(f"file://{tmp_path}/no.tflite")


def test_an_address_of_another_computer_has_to_be_added():
    with pytest.raises(ModelError, match=r"https://a.example/x.tflite is an address") as error:
        find_model("https://a.example/x.tflite")
    assert "edge-detect models add" in error.value.hint


def test_a_model_without_its_file_says_how_to_get_it():
    with pytest.raises(ModelError, match=f"file of model '{ABSENT}' is not here") as error:
        load_model(ABSENT, accelerator="cpu")
    assert error.value.hint == f"fetch it with: edge-detect models pull {ABSENT}"


def test_a_model_in_the_own_folder_is_found_by_name(own_folder):
    path = write_model(own_folder)
    assert "echo" in model_names()
    entry = find_model("echo")
    assert (entry.path, entry.present) == (path, True)
    with load_model("echo") as detector:
        assert detector.name == "echo"


def test_a_pulled_file_is_found_in_the_own_folder(own_folder):
    file = own_folder / f"{ABSENT}.tflite"
    file.write_bytes(b"anything")
    entry = find_model(ABSENT)
    assert (entry.path, entry.present) == (file, True)


def test_own_models_do_not_replace_those_of_the_package(own_folder):
    write_model(own_folder, name=ABSENT)
    assert find_model(ABSENT).spec.family == "ssd"


def test_verify_tells_good_missing_and_wrong_apart(own_folder):
    assert verify(ABSENT)[0] is Verification.MISSING
    (own_folder / f"{ABSENT}.tflite").write_bytes(b"something else")
    verdict, reason = verify(ABSENT)
    assert verdict is Verification.WRONG
    assert "git_blob is " in reason
    assert verify(write_model(own_folder)) == (Verification.GOOD, "")


def test_the_git_blob_is_what_git_computes(tmp_path):
    path = tmp_path / "file"
    content = b"x" * 3_000_000
    path.write_bytes(content)
    assert git_blob_of(path) == "42ec5fc0f485f764cdf0eaa85ab061c055f5f518"
    path.write_bytes(b"")
    assert git_blob_of(path) == "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("gone.tflite", "there is no model file"),
        ("gone.toml", "there is no manifest"),
        ("./photo.jpg", "neither a .tflite file nor a manifest"),
    ],
)
def test_a_wrong_path_says_what_is_missing(tmp_path, monkeypatch, name, says):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelError, match=says):
        find_model(name)


@pytest.mark.parametrize("name", ["x" * 300, "/" + "x" * 300 + ".tflite"])
def test_a_model_that_the_system_does_not_look_for_is_an_error_that_says_why(name):
    """As is one in a directory that the service must not see."""
    with pytest.raises(ModelError, match="File name too long"):
        find_model(name)


def test_a_model_of_no_known_kind_names_its_outputs(tmp_path):
    outputs = [tensor("odd", (1, 7, 9), values=0)]
    path = write_made(tmp_path / "odd.tflite", [tensor("image", (1, 32, 32, 3))], outputs)
    with pytest.raises(ModelError, match=r"no known kind .*'odd' 1x7x9 float32") as error:
        load_model(path)
    assert "odd.tflite?family=" in error.value.hint


@pytest.mark.parametrize("path", ["/", "./", "photos/", "photo.jpg/"])
def test_a_path_that_is_no_model_is_named_as_that(path):
    with pytest.raises(ModelError, match=r"neither a \.tflite file nor a manifest"):
        find_model(path)


def test_an_own_model_without_its_file_says_where_it_belongs(own_folder):
    write_model(own_folder).unlink()
    with pytest.raises(ModelError, match="file of model 'echo' is not here") as error:
        load_model("echo")
    assert str(own_folder) in error.value.hint


def test_ones_own_model_needs_no_checksum(own_folder):
    path = write_model(own_folder)
    change_manifest(path, f'sha256 = "{hashlib.sha256(path.read_bytes()).hexdigest()}"', "")
    assert verify("echo") == (Verification.GOOD, "")


def test_bundled_models_have_checksum_origin_and_licence():
    for entry in list_models():
        assert entry.spec.sha256 or entry.spec.git_blob, entry.name
        assert entry.spec.origin.licence, entry.name
        assert entry.spec.origin.package or entry.spec.origin.url, entry.name


def test_every_public_name_of_the_package_exists():
    import edge_detect.models as package

    assert all(getattr(package, name) is not None for name in package.__all__)
    assert set(package.__all__) == set(package._MODULES)
    with pytest.raises(AttributeError, match="no attribute 'missing'"):
        package.missing  # noqa: B018


def test_pulled_files_go_where_the_environment_says(own_folder):
    assert user_models_path() == own_folder


def test_what_root_pulls_is_found_by_services_that_see_no_home(tmp_path, monkeypatch):
    # As in the unit: another user, and no folder of its own.
    monkeypatch.setattr(resources, "_FOR_ALL", tmp_path)
    monkeypatch.delenv("EDGE_DETECT_MODELS")
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    monkeypatch.setattr(resources.os, "geteuid", lambda: 0)
    assert user_models_path() == tmp_path / "models"
    monkeypatch.setattr(resources.os, "geteuid", lambda: 61_234)
    monkeypatch.setenv("HOME", "/")
    (tmp_path / "models").mkdir()
    path = tmp_path / "models" / f"{ABSENT}.tflite"
    path.write_bytes(b"")
    assert find_model(ABSENT).path == path
