"""Which options a Darknet cfg may set, and which of them matter for inference."""

from edge_detect.tools.convert.darknet_sections import Section

__all__ = ["ACTIVATIONS", "check_options"]

ACTIVATIONS = ("linear", "leaky", "mish", "relu", "logistic")

# Options that the layers are built from.
_USED = {
    "net": {"width", "height", "channels"},
    "convolutional": {
        "batch_normalize", "filters", "size", "stride", "pad", "padding", "groups", "activation",
    },
    "maxpool": {"size", "stride", "padding"},
    "route": {"layers", "groups", "group_id"},
    "shortcut": {"from", "activation"},
    "upsample": {"stride"},
    "dropout": set(),
    "yolo": {"mask", "anchors", "num", "classes", "scale_x_y", "new_coords"},
}  # fmt: skip

# Options that change nothing once a network is trained, or only what Darknet itself does
# with the decoded boxes (its NMS, its counters), which the manifest settles here.
_IGNORED = {
    "net": {
        "adam", "angle", "aspect", "augment_speed", "B1", "B2", "batch", "blur", "burn_in",
        "center", "contrastive", "cutmix", "decay", "dynamic_minibatch", "ema_alpha", "eps",
        "equidistant_point", "exposure", "flip", "gamma", "gaussian_noise", "hue", "init_delay",
        "label_smooth_eps", "learning_rate", "letter_box", "loss_scale", "max_batches",
        "max_chart_loss", "max_crop", "mixup", "min_crop", "momentum", "mosaic", "mosaic_bound",
        "optimized_memory", "policy", "power", "random", "resize_step", "saturation", "scale",
        "scales", "sgdr_cycle", "sgdr_mult", "step", "steps", "subdivisions", "time_steps",
        "track", "workspace_size_limit_MB", "zoom",
    },
    "convolutional": {"burnin_update", "train_only_bn"},
    "maxpool": set(),
    "route": set(),
    "shortcut": set(),
    "upsample": set(),
    "dropout": {
        "dropblock", "dropblock_size_abs", "dropblock_size_rel", "probability",
    },
    "yolo": {
        "beta_nms", "cls_normalizer", "counters_per_class", "delta_normalizer", "focal_loss",
        "ignore_thresh", "iou_loss", "iou_normalizer", "iou_thresh", "iou_thresh_kind",
        "jitter", "label_smooth_eps", "max", "max_delta", "nms_kind", "obj_normalizer",
        "objectness_smooth", "random", "resize", "thresh", "truth_thresh",
    },
}  # fmt: skip
_IGNORED_EVERYWHERE = {"learning_rate", "onlyforward", "stopbackward"}

# Options that change the result unless they have these values.
_NEUTRAL: dict[str, dict[str, set[str]]] = {
    "convolutional": {
        "antialiasing": {"0"}, "assisted_excitation": {"0"}, "binary": {"0"}, "deform": {"0"},
        "dilation": {"1"}, "flipped": {"0"}, "rotate": {"0"}, "stretch": {"0"},
        "stretch_sway": {"0"}, "sway": {"0"}, "xnor": {"0"},
    },
    "maxpool": {"antialiasing": {"0"}, "maxpool_depth": {"0"}, "out_channels": {"1"}},
    "shortcut": {"weights_type": {"none"}},
    "upsample": {"scale": {"1", "1.0"}},
}  # fmt: skip

_SYNONYMS = {"network": "net", "conv": "convolutional", "max": "maxpool"}


def check_options(section: Section) -> None:
    """Refuse options that could change what the layer computes and are not understood.

    Raises:
        ModelError: Names the option and its line.
    """
    kind = _SYNONYMS.get(section.kind, section.kind)
    known = _USED[kind] | _IGNORED[kind] | _IGNORED_EVERYWHERE
    neutral = _NEUTRAL.get(kind, {})
    for key, (value, _) in section.options.items():
        if key in known or value in neutral.get(key, ()):
            continue
        if key in neutral:
            raise section.error(
                f"says {key}={value}, which is not supported",
                f"only {key}={min(neutral[key])} can be converted",
                key=key,
            )
        raise section.error(
            f"has the option {key}, which is not supported",
            "remove it if it only matters in training",
            key=key,
        )
