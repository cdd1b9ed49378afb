"""The zip behind a model, as friends and enemies write it."""

import io
import struct
import zipfile
from time import perf_counter

import pytest
from support.made_models import made_model, tensor, with_files

from edge_detect.models.file.archive import MAX_ENTRY_BYTES, read_archive

MODEL = made_model([tensor("image", (1, 8, 8, 3))], [tensor("output", (1, 4), values=0)])


def zipped(entries, method=zipfile.ZIP_DEFLATED):
    file = io.BytesIO(MODEL)
    file.seek(0, io.SEEK_END)
    with zipfile.ZipFile(file, "a", method) as archive:
        for name, content in entries:
            archive.writestr(name, content)
    return file.getvalue()


def test_files_behind_a_model_are_read():
    found = read_archive(with_files(MODEL, {"labels.txt": "cat", "a/b.txt": "dog"}))
    assert found.files == {"labels.txt": b"cat", "a/b.txt": b"dog"}
    assert found.remarks == []


def test_a_model_without_a_zip_has_no_files():
    assert read_archive(MODEL).files == {}
    assert read_archive(b"").files == {}


@pytest.mark.parametrize("name", ["../labels.txt", "/etc/labels.txt", "a/../../b.txt", "C:\\x.txt"])
def test_names_that_lead_out_are_ignored_and_named(name):
    found = read_archive(zipped([(name, "cat"), ("labels.txt", "dog")]))
    assert found.files == {"labels.txt": b"dog"}
    assert "leads out" in found.remarks[0]


def test_a_bomb_is_not_unpacked():
    content = zipped([("labels.txt", b"\0" * (MAX_ENTRY_BYTES - 1)), ("ok.txt", "dog")])
    begin = perf_counter()
    found = read_archive(content)
    assert perf_counter() - begin < 1
    assert list(found.files) == ["ok.txt"]
    assert "packed more densely" in found.remarks[0]


def test_a_file_larger_than_labels_can_be_is_ignored():
    content = zipped([("labels.txt", b"x" * (MAX_ENTRY_BYTES + 1))], zipfile.ZIP_STORED)
    found = read_archive(content)
    assert found.files == {}
    assert "more than 1000000" in found.remarks[0]


def test_a_file_that_lies_about_its_size_is_ignored():
    content = bytearray(zipped([("labels.txt", b"ab" * 600_000)]))
    place = content.rfind(b"PK\x01\x02")
    struct.pack_into("<I", content, place + 24, 5000)
    found = read_archive(bytes(content))
    assert found.files == {}
    assert "'labels.txt' in the zip is ignored" in found.remarks[0]


def test_more_files_than_a_model_has_are_ignored():
    content = zipped([(f"{number}.txt", "x") for number in range(100)])
    found = read_archive(content)
    assert found.files == {}
    assert "has 100 files" in found.remarks[0]


def test_encrypted_files_are_ignored_and_named():
    content = bytearray(zipped([("labels.txt", "cat")]))
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        place = content.rfind(signature)
        content[place + offset] |= 1
    found = read_archive(bytes(content))
    assert found.files == {}
    assert "encrypted" in found.remarks[0]


def test_unknown_methods_are_ignored_and_named():
    found = read_archive(zipped([("labels.txt", "cat" * 100)], zipfile.ZIP_LZMA))
    assert found.files == {}
    assert "method 14 is not supported" in found.remarks[0]


def test_a_damaged_zip_is_ignored_and_named():
    content = bytearray(zipped([("labels.txt", "cat")]))
    place = content.rfind(b"PK\x01\x02")
    content[place : place + 4] = b"XXXX"
    found = read_archive(bytes(content))
    assert found.files == {}
    assert "damaged" in found.remarks[0]


def test_of_two_files_with_one_name_the_first_counts():
    with pytest.warns(UserWarning, match="Duplicate name"):
        content = zipped([("labels.txt", "cat"), ("labels.txt", "dog")])
    assert read_archive(content).files == {"labels.txt": b"cat"}


def test_a_file_without_a_name_is_ignored_and_said():
    content = zipped([("xlabels.txt", "cat"), ("labels.txt", "dog")]).replace(b"xlab", b"\0lab")
    found = read_archive(content)
    assert found.files == {"labels.txt": b"dog"}
    assert "it has no name" in found.remarks[0]
