"""Single layers of Darknet compute what its C code says, also those that OpenCV cannot read."""

from pathlib import Path

import numpy as np
import pytest
from support import darknet_reference
from support.darknet_networks import random_values, write_weights

from edge_detect.tools.convert.darknet import convert_darknet
from edge_detect.tools.convert.darknet_cfg import read_cfg
from edge_detect.tools.convert.darknet_options import ACTIVATIONS
from edge_detect.tools.convert.darknet_weights import read_weights

pytestmark = pytest.mark.convert

NET = "[net]\nwidth=16\nheight=16\nchannels=3\n"
CONV = "[convolutional]\nfilters={}\nsize=3\nstride={}\npad=1\nactivation={}\n"
HEAD = (
    "[convolutional]\nfilters=12\nsize=1\nactivation=linear\n"
    "[yolo]\nmask=0,1\nanchors=1,2,3,4\nnum=2\nclasses=1\n"
)
START = CONV.format(8, 2, "leaky")
LAYERS = {
    "reorg": "[reorg]\nstride=2\n",
    "reorg3d": "[reorg3d]\nstride=2\n",
    "scale per channel": (
        "[avgpool]\n[convolutional]\nfilters=8\nsize=1\nactivation=logistic\n"
        "[scale_channels]\nfrom=-3\nactivation=relu\n"
    ),
    "scale per cell": (
        "[convolutional]\nfilters=1\nsize=1\nactivation=logistic\n"
        "[scale_channels]\nfrom=-2\nscale_wh=1\n"
    ),
    "sam": CONV.format(8, 1, "logistic") + "[sam]\nfrom=-2\n",
    "narrower shortcut": CONV.format(12, 1, "linear") + "[shortcut]\nfrom=-2\nactivation=leaky\n",
    "wider shortcut": CONV.format(4, 1, "linear") + "[shortcut]\nfrom=-2\nactivation=leaky\n",
    "several shortcuts": (
        CONV.format(12, 1, "relu") + CONV.format(10, 1, "relu") + "[shortcut]\nfrom=-2,0\n"
    ),
    **{f"activation {name}": CONV.format(6, 1, name) for name in ACTIVATIONS},
}


@pytest.mark.parametrize("head", ["joined", "split"])
@pytest.mark.parametrize("case", LAYERS)
def test_layer_computes_what_darknet_does(case: str, head: str, tmp_path: Path) -> None:
    cfg = tmp_path / "net.cfg"
    cfg.write_text(NET + START + LAYERS[case] + HEAD, encoding="utf-8")
    network = read_cfg(cfg)
    # Three times the usual size: activations that bend twice shall bend.
    weights = write_weights(tmp_path / "net.weights", 3 * random_values(network))
    names = tmp_path / "net.names"
    names.write_text("thing\n", encoding="utf-8")
    model, manifest = convert_darknet(cfg, weights, names, head=head)
    image = np.random.default_rng(3).random((1, 16, 16, 3), dtype=np.float32)
    found = {name: tensor.numpy()[0] for name, tensor in model.function(image).items()}
    (wanted,) = darknet_reference.forward(network, read_weights(weights, network), image[0])
    (outputs,) = (one["outputs"] for one in manifest["yolo"]["heads"])
    if head == "joined":
        got = found[outputs["joined"]]
    else:
        parts = [found[outputs[part]] for part in ("boxes", "objectness", "classes")]
        cells = [part.reshape(*part.shape[:2], 2, -1) for part in parts]
        got = np.concatenate(cells, axis=-1).reshape(wanted.shape)
    assert np.abs(wanted).max() > 0.5
    np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-5 * np.abs(wanted).max())


def test_a_head_whose_convolution_has_groups_is_split_as_well(tmp_path: Path) -> None:
    cfg = tmp_path / "net.cfg"
    cfg.write_text(
        NET + START + HEAD.replace("size=1\n", "size=1\ngroups=2\n", 1), encoding="utf-8"
    )
    network = read_cfg(cfg)
    weights = write_weights(tmp_path / "net.weights", random_values(network))
    names = tmp_path / "net.names"
    names.write_text("thing\n", encoding="utf-8")
    model, _ = convert_darknet(cfg, weights, names)
    image = np.random.default_rng(3).random((1, 16, 16, 3), dtype=np.float32)
    (wanted,) = darknet_reference.forward(network, read_weights(weights, network), image[0])
    found = model.function(image)["head0_objectness"].numpy()[0]
    np.testing.assert_allclose(found, wanted[..., [4, 10]], atol=1e-5 * np.abs(wanted).max())
