"""What a Darknet cfg, its weights and its names may say, and what is said of mistakes."""

import re
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edge_detect.core import ConfigError, ModelError
from edge_detect.tools.convert.darknet import convert_darknet, read_names
from edge_detect.tools.convert.darknet_cfg import read_cfg
from edge_detect.tools.convert.darknet_layers import Convolutional, Network, Shape, Yolo
from edge_detect.tools.convert.darknet_weights import (
    BATCH_NORM_EPSILON,
    float_count,
    read_weights,
)

# Two classes, one head of two anchors on a grid of 4x4; line numbers matter below.
CFG = """\
[net]
width=32
height=32
channels=3
# training only
learning_rate=0.001
[convolutional]
batch_normalize=1
filters=8
size=3
stride=2
pad=1
activation=leaky
[maxpool]
size=2
stride=2
[convolutional]
filters=14
size=1
activation=linear
[yolo]
mask=1,2
anchors=1,2, 3,4, 5,6
classes=2
num=3
"""
FLOATS = 8 * (4 + 27) + 14 * (1 + 8)


def write_cfg(folder: Path, text: str = CFG) -> Path:
    path = folder / "net.cfg"
    path.write_text(text, encoding="utf-8")
    return path


def write_weights(
    folder: Path, values: np.ndarray, version: tuple[int, int, int] = (0, 2, 0)
) -> Path:
    seen = struct.pack("<q" if version >= (0, 2, 0) else "<i", 5)
    path = folder / "net.weights"
    path.write_bytes(struct.pack("<3i", *version) + seen + values.astype("<f4").tobytes())
    return path


def network_of(folder: Path, text: str = CFG) -> Network:
    return read_cfg(write_cfg(folder, text))


def before_yolo(sections: str) -> str:
    """The cfg with sections put between the pooling and the last convolution (line 17)."""
    head, tail = CFG.split("[convolutional]\nfilters=14")
    return f"{head}{sections}\n[convolutional]\nfilters=14{tail}"


def test_shapes_follow_darknets_arithmetic(tmp_path: Path) -> None:
    network = network_of(tmp_path)
    assert [layer.shape for layer in network.layers] == [
        Shape(16, 16, 8),
        Shape(8, 8, 8),
        Shape(8, 8, 14),
        Shape(8, 8, 14),
    ]
    ((feeder, yolo),) = network.heads
    assert feeder == 2
    assert yolo.stride == 4
    assert yolo.anchors == ((3.0, 4.0), (5.0, 6.0))


def test_relative_and_absolute_references_mean_the_same(tmp_path: Path) -> None:
    relative = network_of(tmp_path, before_yolo("[route]\nlayers=-1,-1"))
    absolute = network_of(tmp_path, before_yolo("[route]\nlayers=1,1"))
    assert relative.layers == absolute.layers
    assert relative.layers[2].shape == Shape(8, 8, 16)


def test_a_grey_input_has_one_channel(tmp_path: Path) -> None:
    network = network_of(tmp_path, CFG.replace("channels=3", "channels=1"))
    assert network.channels == 1
    assert network.layers[0].channels == 1


def test_grouped_route_takes_its_share_of_the_channels(tmp_path: Path) -> None:
    network = network_of(tmp_path, before_yolo("[route]\nlayers=-1\ngroups=2\ngroup_id=1"))
    assert network.layers[2].shape.channels == 4


def test_mask_is_corrected_before_it_is_checked(tmp_path: Path) -> None:
    """A mask that the cfg gets wrong must not stop the reading that corrects it."""
    cfg = write_cfg(tmp_path, CFG.replace("mask=1,2", "mask=1,9"))
    yolo = read_cfg(cfg, {0: (0, 2)}).layers[-1]
    assert isinstance(yolo, Yolo)
    assert yolo.anchors == ((1.0, 2.0), (5.0, 6.0))


def test_correction_of_a_head_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"head 1; net\.cfg has 1"):
        read_cfg(write_cfg(tmp_path), {1: (0, 1)})


def test_comments_blank_lines_and_spaces_do_not_matter(tmp_path: Path) -> None:
    untidy = CFG.replace("filters=8", "\n ; a remark\n filters = 8 # eight").replace("\n", " \r\n")
    plain = network_of(tmp_path).layers[0]
    read = network_of(tmp_path, untidy).layers[0]
    assert isinstance(plain, Convolutional)
    assert isinstance(read, Convolutional)
    assert read.shape == plain.shape


def test_of_a_repeated_key_the_first_counts(tmp_path: Path) -> None:
    """Darknet searches its list from the front."""
    text = CFG.replace("[net]\n", "[net]\nbatch=1\nbatch=64\n") + "classes=80\n"
    ((_, yolo),) = network_of(tmp_path, text).heads
    assert yolo.classes == 2


@pytest.mark.parametrize(
    ("encode", "comment"),
    [
        (lambda text: b"\xef\xbb\xbf" + text.encode(), ""),
        (lambda text: text.replace("\n", "\r\n").encode(), ""),
        (lambda text: text.encode("latin-1"), "# größer\x85"),
        (lambda text: text.encode(), "# größer"),
    ],
)  # fmt: skip
def test_whatever_editors_make_of_a_cfg_is_read(
    encode: Callable[[str], bytes], comment: str, tmp_path: Path
) -> None:
    cfg = tmp_path / "net.cfg"
    cfg.write_bytes(encode(CFG.replace("# training only", comment)))
    assert read_cfg(cfg).layers == network_of(tmp_path).layers


def test_more_anchors_than_num_are_none_of_the_head(tmp_path: Path) -> None:
    """Darknet reads the first `num`; those of other heads may be missing."""
    text = CFG.replace("mask=1,2", "mask=0,1").replace("num=3", "num=2")
    assert network_of(tmp_path, text).heads[0][1].anchors == ((1.0, 2.0), (3.0, 4.0))
    text = CFG.replace("num=3", "num=9")
    assert network_of(tmp_path, text).heads[0][1].anchors == ((3.0, 4.0), (5.0, 6.0))


def test_a_region_has_its_anchors_in_cells_and_classes_that_share(tmp_path: Path) -> None:
    text = CFG.replace("[yolo]\nmask=1,2", "[region]\nsoftmax=1\ncoords=4\nrescore=0")
    ((_, region),) = network_of(tmp_path, text.replace("filters=14", "filters=21")).heads
    assert region.anchors == ((4.0, 8.0), (12.0, 16.0), (20.0, 24.0))
    assert region.softmax
    assert region.kind == "region"


def test_a_shortcut_keeps_the_channels_of_the_layer_before(tmp_path: Path) -> None:
    narrow = "[convolutional]\nfilters=4\nsize=1\n[shortcut]\nfrom=-2"
    wide = narrow.replace("filters=4", "filters=12")
    for sections, channels in ((narrow, 4), (wide, 12)):
        layer = network_of(tmp_path, before_yolo(sections)).layers[3]
        assert layer.shape == Shape(8, 8, channels)


def test_layers_that_cannot_be_converted_come_with_the_way_out(tmp_path: Path) -> None:
    for kind, hint in (("Gaussian_yolo", r"train with \[yolo\]"), ("foo", "supported are avgpool")):
        with pytest.raises(ModelError) as caught:
            network_of(tmp_path, before_yolo(f"[{kind}]"))
        assert re.search(hint, caught.value.hint)


REFUSED = {
    "unknown layer": (before_yolo("[crnn]\nbatch_normalize=1"), r"\[crnn\] at line 17 is not"),
    "unknown option": (
        before_yolo("[maxpool]\nsize=1\nfoo=1"),
        r"\[maxpool\] at line 19 has the option foo",
    ),
    "option that changes the result": (
        CFG.replace("size=3\n", "size=3\nantialiasing=1\n"),
        r"\[convolutional\] at line 11 says antialiasing=1",
    ),
    "dilation": (CFG.replace("size=3\n", "size=3\ndilation=2\n"), "dilation=2"),
    "stretch": (CFG.replace("size=3\n", "size=3\nstretch=1\n"), "stretch=1"),
    "assisted excitation": (
        CFG.replace("size=3\n", "size=3\nassisted_excitation=4000\n"),
        "assisted_excitation=4000",
    ),
    "activation": (CFG.replace("leaky", "norm_chan"), "line 13 says activation=norm_chan"),
    "not an integer": (CFG.replace("filters=8", "filters=many"), "filters=many, which is not an"),
    "zero stride": (CFG.replace("stride=2\npad", "stride=0\npad"), "stride=0, which must be"),
    "groups": (CFG.replace("size=3\n", "size=3\ngroups=2\n"), "groups=2, which does not divide"),
    "route ahead": (before_yolo("[route]\nlayers=2"), r"line 18 says layers=2"),
    "route too far back": (before_yolo("[route]\nlayers=-3"), "layers=-3"),
    "route without layers": (before_yolo("[route]"), "needs layers"),
    "route of two sizes": (before_yolo("[route]\nlayers=-1,0"), "joins 8x8 with 16x16 of layer 0"),
    "route group": (before_yolo("[route]\nlayers=-1\ngroups=2\ngroup_id=2"), "group_id=2"),
    "shortcut out of range": (before_yolo("[shortcut]\nfrom=-5"), "from=-5"),
    "scale of other channels": (
        before_yolo("[route]\nlayers=-1,-1\n[avgpool]\n[scale_channels]\nfrom=1"),
        "scales 8x8x8 of layer 1 by 1x1x16; 1x1x8 is needed",
    ),
    "scale that is no mean": (before_yolo("[scale_channels]\nfrom=1"), "1x1x8 is needed"),
    "attention of another size": (before_yolo("[sam]\nfrom=0"), "16x16x8 is needed"),
    "reorganized channels": (before_yolo("[reorg]\nstride=3"), "stride=3 does not divide 8x8x8"),
    "reversed": (before_yolo("[reorg]\nstride=2\nreverse=1"), "reverse=1"),
    "recurrent layer": (before_yolo("[conv_lstm]"), r"\[conv_lstm\] at line 17 is not a supported"),
    "weighted shortcut": (
        before_yolo("[shortcut]\nfrom=-1\nweights_type=per_channel"),
        "weights_type=per_channel",
    ),
    "mask": (CFG.replace("mask=1,2", "mask=1,3"), "says mask=1,3; it has anchors 0 to 2"),
    "anchor count": (CFG.replace("mask=1,2", "").replace("num=3", "num=6"), "num=6 and gives 3"),
    "mask beyond num": (CFG.replace("num=3", "num=2"), "mask=1,2; it has anchors 0 to 1"),
    "region without softmax": (
        CFG.replace("[yolo]\nmask=1,2", "[region]").replace("filters=14", "filters=21"),
        r"\[region\] at line 21 needs softmax=1",
    ),
    "tree of classes": (
        CFG.replace("[yolo]\nmask=1,2", "[region]\ntree=9k.tree"), "has the option tree"
    ),
    "odd anchors": (CFG.replace("5,6", "5"), "needs anchors=width,height"),
    "filters": (
        CFG.replace("filters=14", "filters=15"),
        r"needs 14 filters, 2 anchors x \(5 \+ 2 classes\), of the \[convolutional\] at line 17",
    ),
    "yolo after a pooling": (
        CFG.replace("[yolo]", "[maxpool]\nsize=1\n[yolo]"),
        "does not follow",
    ),
    "yolo on activated values": (
        CFG.replace("activation=linear", "activation=leaky"),
        "new_coords=0 needs activation=linear",
    ),
    "new_coords on raw values": (
        CFG.replace("num=3", "num=3\nnew_coords=1"),
        "new_coords=1 needs activation=logistic",
    ),
    "layer that reads a yolo": (CFG + "[maxpool]\nsize=1\n", r"reads the output of a \[yolo\]"),
    "route to a yolo": (CFG + "[route]\nlayers=3\n", r"layers=3, which is a \[yolo\]"),
    "grid that does not fit": (
        CFG.replace("width=32", "width=30"), "grid of 8x8, which does not divide"
    ),
    "input of four channels": (CFG.replace("channels=3", "channels=4"), "channels=4"),
    "no net": (CFG.removeprefix("[net]"), "stands before the first section"),
    "another first section": (CFG.replace("[net]", "[dropout]"), r"does not begin with \[net\]"),
    "no head": (CFG.partition("[yolo]")[0], r"has no \[yolo\] or \[region\]"),
    "nonsense": (CFG + "hello\n", "line 26 is neither"),
    "open bracket": (CFG + "[yolo\n", "line 26 opens a section"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_not_understood_is_refused_by_name_and_line(case: str, tmp_path: Path) -> None:
    text, message = REFUSED[case]
    with pytest.raises(ModelError, match=message):
        network_of(tmp_path, text)


def test_missing_and_binary_cfg_are_model_errors(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot read"):
        read_cfg(tmp_path / "none.cfg")
    (tmp_path / "binary.cfg").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ModelError, match="not a text file"):
        read_cfg(tmp_path / "binary.cfg")


def test_batch_normalization_is_folded(tmp_path: Path) -> None:
    """The folded convolution gives what convolving and normalizing gives."""
    network = network_of(tmp_path)
    random = np.random.default_rng(1)
    values = random.normal(size=FLOATS)
    values[24:32] = random.uniform(0.5, 2, 8)
    values = values.astype(np.float32).astype(np.float64)
    kernel, bias = read_weights(write_weights(tmp_path, values), network)[0]
    beta, gamma, mean, variance = values[:32].reshape(4, 8)
    raw = values[32:248].reshape(8, 3, 3, 3)
    patch = random.normal(size=(3, 3, 3))
    convolved = np.einsum("ochw,chw->o", raw, patch)
    expected = gamma * (convolved - mean) / np.sqrt(variance + BATCH_NORM_EPSILON) + beta
    actual = np.einsum("hwco,chw->o", kernel, patch) + bias
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("version", [(0, 1, 0), (0, 2, 0), (0, 2, 5)])
def test_header_is_as_long_as_its_version_says(
    version: tuple[int, int, int], tmp_path: Path
) -> None:
    """Darknet counted images in 32 bits before 0.2 and in 64 since."""
    weights = write_weights(tmp_path, np.arange(1, FLOATS + 1), version)
    folded = read_weights(weights, network_of(tmp_path))
    assert folded[2].bias.tolist() == list(range(249, 263))


@pytest.mark.parametrize(
    ("count", "message"),
    [
        (FLOATS - 1, r"has 373 values, net\.cfg needs 374: they end in the \[convolutional\] at"),
        (FLOATS - 1, r"at line 17 \(layer 2\), 125 of its 126"),
        (100, r"they end in the \[convolutional\] at line 7 \(layer 0\), 100 of its 248"),
        (FLOATS + 3, r"has 377 values, net\.cfg needs 374: 3 are left over"),
        (0, "has 0 values"),
    ],
)  # fmt: skip
def test_weights_of_another_length_are_refused(count: int, message: str, tmp_path: Path) -> None:
    network = network_of(tmp_path)
    assert sum(float_count(x) for x in network.layers if isinstance(x, Convolutional)) == FLOATS
    with pytest.raises(ModelError, match=message):
        read_weights(write_weights(tmp_path, np.ones(count)), network)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "it has 0 bytes"),
        (b"<!DOCTYPE html><html><body>Not found</body></html>", "its version would be"),
        (struct.pack("<3iq", 0, 2, 0, 0) + b"abc", "does not hold whole float32 values"),
    ],
)
def test_files_that_are_no_weights_are_refused(
    content: bytes, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "net.weights"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=message):
        read_weights(path, network_of(tmp_path))


def test_values_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    values = np.ones(FLOATS)
    values[-1] = np.nan
    with pytest.raises(ModelError, match=r"line 17 of net\.cfg \(layer 2\) are not finite"):
        read_weights(write_weights(tmp_path, values), network_of(tmp_path))


def test_names_that_do_not_fit_the_classes_are_refused(tmp_path: Path) -> None:
    names = tmp_path / "net.names"
    names.write_text("person\ncar\nbus\n", encoding="utf-8")
    weights = write_weights(tmp_path, np.ones(FLOATS))
    with pytest.raises(ModelError, match=r"3 labels, the \[yolo\] at line 21 of net\.cfg has 2"):
        convert_darknet(write_cfg(tmp_path), weights, names)


def test_names_keep_spaces_inside_and_lose_them_around(tmp_path: Path) -> None:
    names = tmp_path / "net.names"
    names.write_text("person\r\ntraffic light \n\n", encoding="utf-8")
    assert read_names(names) == ["person", "traffic light"]
    names.write_bytes(b"\xef\xbb\xbfperson\ncar\n")
    assert read_names(names) == ["person", "car"]
    names.write_bytes("Größe".encode("latin-1"))
    with pytest.raises(ModelError, match="is not a UTF-8 text file") as caught:
        read_names(names)
    assert "iconv -f latin1" in caught.value.hint
    names.write_text("person\n\ncar\n", encoding="utf-8")
    with pytest.raises(ModelError, match="line 2 is empty"):
        read_names(names)
