"""Which options a Darknet cfg may set, and which of them matter for inference."""

from edge_detect.tools.convert.darknet_sections import Section

__all__ = ["ACTIVATIONS", "check_options", "way_out"]

ACTIVATIONS = (
    "elu", "hard_mish", "hardtan", "leaky", "linear", "loggy", "logistic", "mish", "relu", "relu6",
    "swish", "tanh",
)  # fmt: skip

# Options that the layers are built from.
_USED = {
    "net": {"width", "height", "channels"},
    "convolutional": {
        "batch_normalize", "filters", "size", "stride", "pad", "padding", "groups", "activation",
    },
    "maxpool": {"size", "stride", "padding"},
    "route": {"layers", "groups", "group_id"},
    "shortcut": {"from", "activation"},
    "avgpool": set(),
    "scale_channels": {"from", "activation", "scale_wh"},
    "sam": {"from", "activation"},
    "reorg": {"stride"},
    "reorg3d": {"stride"},
    "upsample": {"stride"},
    "dropout": set(),
    "yolo": {"mask", "anchors", "num", "classes", "scale_x_y", "new_coords"},
    "region": {"anchors", "num", "classes", "softmax"},
}  # fmt: skip

# Options that change nothing once a network is trained, or only what Darknet itself does
# with the decoded boxes (its NMS, its counters), which the manifest settles here.
_IGNORED = {
    "net": {
        "adam", "adversarial_lr", "angle", "aspect", "attention", "augment_speed", "B1", "B2",
        "badlabels_rejection_percentage", "batch", "blur", "burn_in", "center", "contrastive",
        "contrastive_color", "contrastive_jit_flip", "cutmix", "decay", "dynamic_minibatch",
        "ema_alpha", "eps", "equidistant_point", "exposure", "flip", "gamma", "gaussian_noise",
        "hue", "init_delay", "label_smooth_eps", "learning_rate", "learning_rate_min",
        "letter_box", "loss_scale", "max_batches", "max_chart_loss", "max_crop", "mixup",
        "min_crop", "momentum", "mosaic", "mosaic_bound", "num_sigmas_reject_badlabels",
        "optimized_memory", "policy", "power", "random", "resize_step", "saturation", "scale",
        "scales", "seq_scales", "sequential_subdivisions", "sgdr_cycle", "sgdr_mult",
        "show_receptive_field", "step", "steps", "subdivisions", "time_steps", "track",
        "try_fix_nan", "unsupervised", "use_cuda_graph", "weights_reject_freq",
        "workspace_size_limit_MB", "zoom",
    },
    "convolutional": {
        "angle", "burnin_update", "dot", "grad_centr", "stream", "train_only_bn", "wait_stream",
    },
    "maxpool": set(),
    "route": {"stream", "wait_stream"},
    "shortcut": set(),
    "avgpool": set(),
    "scale_channels": set(),
    "sam": set(),
    "reorg": set(),
    "reorg3d": set(),
    "upsample": set(),
    "dropout": {
        "dropblock", "dropblock_size_abs", "dropblock_size_rel", "probability",
    },
    "yolo": {
        "beta_nms", "cls_normalizer", "counters_per_class", "delta_normalizer", "dets_for_show",
        "dets_for_track", "embedding_layer", "focal_loss", "ignore_thresh", "iou_loss",
        "iou_normalizer", "iou_thresh", "iou_thresh_kind", "jitter", "label_smooth_eps", "max",
        "max_delta", "nms_kind", "obj_normalizer", "objectness_smooth", "random", "resize",
        "show_details", "sim_thresh", "thresh", "track_ciou_norm", "track_history_size",
        "truth_thresh",
    },
    "region": {
        "absolute", "bias_match", "class_scale", "classfix", "coord_scale", "focal_loss",
        "jitter", "log", "mask_scale", "max", "noobject_scale", "object_scale", "random",
        "rescore", "resize", "sqrt", "thresh",
    },
}  # fmt: skip
_IGNORED_EVERYWHERE = {"learning_rate", "onlyforward", "stopbackward"}

# Options that change the result unless they have these values.
_NEUTRAL: dict[str, dict[str, set[str]]] = {
    "convolutional": {
        "antialiasing": {"0"}, "assisted_excitation": {"0"}, "binary": {"0"}, "cbn": {"0"},
        "coordconv": {"0"}, "deform": {"0"}, "dilation": {"1"}, "flipped": {"0"},
        "reverse": {"0"}, "rotate": {"0"}, "stretch": {"0"}, "stretch_sway": {"0"},
        "sway": {"0"}, "xnor": {"0"},
    },
    "maxpool": {
        "antialiasing": {"0"}, "maxpool_depth": {"0"}, "maxpool_zero_nonmax": {"0"},
        "out_channels": {"1"},
    },
    "reorg": {"reverse": {"0"}},
    "reorg3d": {"reverse": {"0"}},
    "region": {"background": {"0"}, "coords": {"4"}},
    "shortcut": {"weights_normalization": {"none"}, "weights_type": {"none"}},
    "upsample": {"scale": {"1", "1.0"}},
}  # fmt: skip

_SYNONYMS = {"network": "net", "conv": "convolutional", "max": "maxpool", "avg": "avgpool"}
# What changes the result of any layer, and is no number with a neutral value.
_REFUSED = {
    "share_index": "its weights are those of another layer",
    "stride_x": "only one stride for both directions can be converted",
    "stride_y": "only one stride for both directions can be converted",
    "map": "detectors of YOLO9000 that map classes to a tree cannot be converted",
    "tree": "detectors of YOLO9000 that map classes to a tree cannot be converted",
}


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
            _REFUSED.get(key, "remove it if it only matters in training"),
            key=key,
        )


# Layers that are known and cannot be converted, and what can be done.
_WAYS_OUT = {
    "batchnorm": "put batch_normalize=1 into the [convolutional] before it, and train again",
    "connected": "detectors of the first YOLO cannot be converted; take YOLOv2 or later",
    "contrastive": "it only matters in training: remove it, and the layers that only it reads",
    "conv_lstm": "recurrent detectors, which remember earlier frames, cannot be converted",
    "crnn": "recurrent detectors, which remember earlier frames, cannot be converted",
    "detection": "detectors of the first YOLO cannot be converted; take YOLOv2 or later",
    "gaussian_yolo": "train with [yolo] in its place",
    "gru": "recurrent detectors, which remember earlier frames, cannot be converted",
    "implicit": "export the model from PyTorch as TFLite",
    "local": "detectors of the first YOLO cannot be converted; take YOLOv2 or later",
    "lstm": "recurrent detectors, which remember earlier frames, cannot be converted",
    "rnn": "recurrent detectors, which remember earlier frames, cannot be converted",
    "softmax": "a classifier is no detector",
}


def way_out(kind: str) -> str:
    """What can be done about a section that cannot be converted."""
    supported = sorted(set(_USED) - {"net"})
    return _WAYS_OUT.get(kind, f"supported are {', '.join(supported)}")
