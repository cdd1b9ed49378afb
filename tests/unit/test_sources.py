"""The registry, image files and the synthetic scene."""

from importlib import import_module
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_detect.core import ConfigError, SourceError
from edge_detect.sources import SCHEMES, open_source
from edge_detect.sources.images import list_images, read_image
from edge_detect.sources.synthetic import SHAPES, SyntheticSource


@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_scheme_has_a_factory(scheme) -> None:
    module, function = SCHEMES[scheme]
    assert callable(getattr(import_module(module), function))


def test_an_unknown_scheme_is_met_with_the_known_ones() -> None:
    with pytest.raises(SourceError) as caught:
        open_source("v4l:/dev/video0")
    assert "unknown scheme 'v4l'" in caught.value.message
    assert ", ".join(sorted(SCHEMES)) in caught.value.hint


@pytest.mark.parametrize(
    "url", ["/dev/video97", "v4l2:///dev/video97", "v4l2:///dev/null", "/dev/null"]
)
def test_a_camera_that_is_none_is_a_clear_error(url) -> None:
    with pytest.raises(SourceError, match=r"/dev/(video97|null)"):
        open_source(url)


def encode(path: Path, image, *options: int) -> Path:
    done, data = cv2.imencode(path.suffix, image, list(options))
    assert done
    path.write_bytes(data.tobytes())
    return path


@pytest.fixture
def noise():
    return np.random.default_rng(0).integers(0, 256, (30, 40, 3)).astype(np.uint8)


def test_a_colour_image_is_read_as_it_is(tmp_path, noise) -> None:
    assert (read_image(encode(tmp_path / "a.png", noise)) == noise).all()


def test_a_grey_image_becomes_three_equal_channels(tmp_path, noise) -> None:
    grey = noise[:, :, 0]
    image = read_image(encode(tmp_path / "a.png", grey))
    assert image.shape == (30, 40, 3)
    assert (image == grey[:, :, None]).all()


def test_sixteen_bits_are_scaled_to_eight(tmp_path, noise) -> None:
    deep = noise.astype(np.uint16) * 257
    assert (read_image(encode(tmp_path / "a.png", deep)) == noise).all()
    assert (read_image(encode(tmp_path / "a.tiff", deep)) == noise).all()


def test_an_alpha_channel_is_dropped(tmp_path, noise) -> None:
    alpha = np.zeros((30, 40, 1), np.uint8)
    assert (read_image(encode(tmp_path / "a.png", np.dstack([noise, alpha]))) == noise).all()


def test_an_image_of_one_pixel_and_one_of_ten_thousand_are_read(tmp_path) -> None:
    one = encode(tmp_path / "one.png", np.full((1, 1, 3), 9, np.uint8))
    wide = encode(tmp_path / "wide.jpg", np.zeros((8, 10_000, 3), np.uint8))
    assert read_image(one).tolist() == [[[9, 9, 9]]]
    assert read_image(wide).shape == (8, 10_000, 3)


def test_the_exif_orientation_is_applied(tmp_path) -> None:
    picture = np.zeros((32, 64, 3), np.uint8)
    picture[:, 32:] = 255
    path = encode(tmp_path / "a.jpg", picture)
    # APP1 with one little-endian TIFF entry: tag 0x0112 (orientation), SHORT, 6 = turn right.
    entry = b"\x12\x01\x03\x00\x01\x00\x00\x00\x06\x00\x00\x00"
    exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0" + entry + b"\0\0\0\0"
    data = path.read_bytes()
    segment = b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif
    path.write_bytes(data[:2] + segment + data[2:])
    image = read_image(path)
    assert image.shape == (64, 32, 3)
    assert image[:28].max() < 20
    assert image[36:].min() > 235


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".bmp", ".tiff"])
@pytest.mark.parametrize("part", [0.3, 0.6, 0.95])
def test_a_truncated_image_is_an_error_and_nothing_else_is_printed(
    tmp_path, noise, suffix, part, capfd
) -> None:
    path = encode(tmp_path / f"a{suffix}", noise)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * part)])
    with pytest.raises(SourceError, match=f"a{suffix}"):
        read_image(path)
    assert capfd.readouterr() == ("", "")


def test_a_damaged_png_is_an_error(tmp_path, noise) -> None:
    path = encode(tmp_path / "a.png", noise)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(SourceError, match="damaged"):
        read_image(path)


@pytest.mark.parametrize(
    ("content", "fact"),
    [(b"", "is empty"), (b"hello", "not an image"), (None, "No such file")],
)
def test_what_is_no_image_is_a_clear_error(tmp_path, content, fact) -> None:
    path = tmp_path / "a.jpg"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SourceError, match=fact) as caught:
        read_image(path)
    assert str(path) in caught.value.message
    assert "\n" not in caught.value.message


def test_a_directory_is_no_image(tmp_path) -> None:
    with pytest.raises(SourceError, match="is a directory"):
        read_image(tmp_path)


def test_images_are_sorted_as_people_count(tmp_path, noise) -> None:
    for name in ("10.png", "2.png", "1.png", "b10.png", "b9.png"):
        encode(tmp_path / name, noise)
    (tmp_path / "notes.txt").write_text("no image")
    expected = ["1.png", "2.png", "10.png", "b9.png", "b10.png"]
    assert [path.name for path in list_images(str(tmp_path))] == expected
    assert [path.name for path in list_images(f"{tmp_path}/*.png")] == expected


def test_a_directory_of_images_is_a_source_in_several_sizes(tmp_path, noise) -> None:
    encode(tmp_path / "1.png", noise)
    encode(tmp_path / "2.png", noise[:10])
    with open_source(tmp_path) as source:
        assert source.size == (40, 30)
        frames = [source.read(), source.read()]
        assert source.read() is None
    assert [frame.size for frame in frames] == [(40, 30), (40, 10)]
    assert [frame.sequence for frame in frames] == [0, 1]
    assert [frame.media_ns for frame in frames] == [0, 1_000_000_000]


def test_an_unreadable_image_among_others_is_an_error_that_names_it(tmp_path, noise) -> None:
    encode(tmp_path / "1.png", noise)
    (tmp_path / "2.png").write_bytes(b"nothing")
    encode(tmp_path / "3.png", noise)
    with open_source(f"images://{tmp_path}") as source:
        source.read()
        with pytest.raises(SourceError, match=r"2\.png"):
            source.read()
        assert source.read().sequence == 2


@pytest.mark.parametrize("pattern", ["", "/*.jpg"])
def test_a_place_without_images_is_an_error(tmp_path, pattern) -> None:
    with pytest.raises(SourceError, match="no image"):
        open_source(f"{tmp_path}{pattern}")


def test_a_synthetic_scene_is_the_same_for_the_same_seed() -> None:
    url = "synthetic://?size=160x120&fps=10&objects=4&seed=3&frames=5"
    with open_source(url) as one, open_source(url) as other:
        pictures = [(one.read(), other.read()) for _ in range(5)]
        assert one.read() is None
    assert all((a.image == b.image).all() for a, b in pictures)
    assert [a.media_ns for a, _ in pictures] == [n * 100_000_000 for n in range(5)]
    assert not (pictures[0][0].image == pictures[4][0].image).all()


def test_ground_truth_is_exact_to_the_pixel() -> None:
    source = open_source("synthetic://?size=320x240&objects=1&seed=5")
    assert isinstance(source, SyntheticSource)
    for _ in range(100):
        frame = source.read()
        (truth,) = source.ground_truth(frame.sequence)
        assert truth.label == SHAPES[truth.class_id]
        drawn = (frame.image != source._background).any(axis=2)
        rows, columns = np.flatnonzero(drawn.any(axis=1)), np.flatnonzero(drawn.any(axis=0))
        assert truth.box == (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)


def test_a_misspelt_option_is_an_error() -> None:
    with pytest.raises(ConfigError, match="sise"):
        open_source("synthetic://?sise=640x480")
