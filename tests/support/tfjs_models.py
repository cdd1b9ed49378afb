"""Small SSDs as TensorFlow.js graph models, written without any code of the converter."""

import json

import numpy as np
from google.protobuf import json_format

SIZE = 32
CLASSES = 4  # with the background
# How its 72 anchors come about.
RULE = {
    "feature_maps": [(4, 4), (2, 2)],
    "min_scale": 0.2,
    "max_scale": 0.95,
    "aspect_ratios": [1.0, 2.0, 0.5, 3.0, 0.3333],
}
TYPES = {"uint8": np.uint8, "uint16": np.uint16, "float16": np.float16}


def corners(anchors):
    """Corner form, relative to the picture, of anchors in pixels as the product has them."""
    centres = anchors / SIZE
    half = centres[:, 2:] / 2
    return np.concatenate([centres[:, :2] - half, centres[:, :2] + half], axis=1)


def small_ssd(tf, anchors, seed=3):
    """A GraphDef with the Object Detection API's names, two feature maps and random weights.

    Args:
        tf: TensorFlow.
        anchors: (72, 4) float32, corner form, relative to the picture.
        seed: Of the weights.
    """
    random = np.random.default_rng(seed)

    def constant(name, *shape, spread=0.3):
        return tf.constant(random.normal(0, spread, shape).astype(np.float32), name=name)

    def layer(x, name, channels, stride):
        weights = constant(f"{name}/weights", 3, 3, x.shape[-1], channels)
        x = tf.nn.conv2d(x, weights, stride, "SAME", name=f"{name}/Conv2D")
        x = tf.nn.bias_add(x, constant(f"{name}/biases", channels), name=f"{name}/BiasAdd")
        return tf.nn.relu6(x, name=f"{name}/Relu6")

    def predict(x, name, channels):
        depth = constant(f"{name}_depthwise/weights", 3, 3, x.shape[-1], 1)
        x = tf.nn.depthwise_conv2d(x, depth, [1, 1, 1, 1], "SAME", name=f"{name}_depthwise")
        bias = constant(f"{name}_depthwise/biases", x.shape[-1])
        x = tf.nn.relu6(tf.nn.bias_add(x, bias, name=f"{name}_sum"), name=f"{name}_relu")
        weights = constant(f"{name}/weights", 1, 1, x.shape[-1], channels, spread=1)
        x = tf.nn.conv2d(x, weights, 1, "SAME", name=f"{name}/Conv2D")
        return tf.nn.bias_add(x, constant(f"{name}/biases", channels), name=f"{name}/BiasAdd")

    graph = tf.Graph()
    with graph.as_default():
        image = tf.compat.v1.placeholder(tf.uint8, (1, None, None, 3), name="image_tensor")
        real = tf.cast(image, tf.float32, name="ToFloat")
        side = tf.constant([SIZE, SIZE], tf.int32, name="side")
        resized = tf.raw_ops.ResizeBilinear(images=real, size=side, name="resize")
        step = tf.constant(2 / 255, name="Preprocessor/mul/x")
        scaled = tf.multiply(step, resized, name="Preprocessor/mul")
        x = tf.subtract(scaled, tf.constant(1.0, name="Preprocessor/sub/y"), "Preprocessor/sub")
        boxes, scores = [], []
        for index, (stride, count) in enumerate([(8, 3), (2, 6)]):
            x = layer(x, f"layer_{index}", 8, stride)
            name = f"BoxPredictor_{index}"
            encoded = predict(x, f"{name}/BoxEncodingPredictor", 4 * count)
            classes = predict(x, f"{name}/ClassPredictor", CLASSES * count)
            boxes.append(tf.reshape(encoded, (-1, 4)))
            scores.append(tf.reshape(classes, (-1, CLASSES)))
        tf.sigmoid(tf.concat(scores, 0), name="Postprocessor/convert_scores")
        _decode(tf, tf.concat(boxes, 0), anchors)
    return graph.as_graph_def()


def _decode(tf, boxes, anchors):
    """Boxes in corner form, as the API's graph has them after constant folding."""
    corners = tf.constant(anchors[np.newaxis], name="Postprocessor/ExpandDims")
    y_min, x_min, y_max, x_max = tf.unstack(corners[0], axis=1)
    height, width = y_max - y_min, x_max - x_min
    tenth, fifth = tf.constant(0.1, name="tenth"), tf.constant(0.2, name="fifth")
    prefix = "Postprocessor/Decode/div"
    t_y, t_x, t_h, t_w = tf.unstack(boxes, axis=1)
    y = tf.multiply(t_y, tenth, prefix) * height + y_min + height / 2
    x = tf.multiply(t_x, tenth, f"{prefix}_1") * width + x_min + width / 2
    h = tf.exp(tf.multiply(t_h, fifth, f"{prefix}_2")) * height
    w = tf.exp(tf.multiply(t_w, fifth, f"{prefix}_3")) * width
    tf.stack([y - h / 2, x - w / 2, y + h / 2, x + w / 2], axis=1, name="decoded")


def run(tf, definition, image, names):
    """Have TensorFlow compute tensors of the whole graph for one picture."""
    graph = tf.Graph()
    with graph.as_default():
        tf.import_graph_def(definition, name="")
    with tf.compat.v1.Session(graph=graph) as session:
        return session.run([f"{name}:0" for name in names], {"image_tensor:0": image})


def quantize_weights(tf, definition, kinds):
    """Round constants to what 8 or 16 bits can hold, in place.

    Args:
        tf: TensorFlow.
        definition: A GraphDef.
        kinds: By name of the constant `uint8`, `uint16` or `float16`.

    Returns:
        By name what the weights manifest says (`quantization`), and the stored numbers.
    """
    stored = {}
    for node in definition.node:
        if node.name not in kinds:
            continue
        kind, value = kinds[node.name], tf.make_ndarray(node.attr["value"].tensor)
        if kind == "float16":
            numbers, entry = value.astype(np.float16), {"dtype": kind}
            value = numbers.astype(np.float32)
        else:
            low, steps = float(value.min()), np.iinfo(TYPES[kind]).max
            scale = (float(value.max()) - low) / steps
            numbers = np.round((value - low) / scale).astype(TYPES[kind])
            entry = {"dtype": kind, "scale": scale, "min": low}
            value = numbers.astype(np.float32) * np.float32(scale) + np.float32(low)
        node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(value))
        stored[node.name] = (entry, numbers)
    return stored


def join(definition, prefixes):
    """Make one operator of each convolution, its bias and its activation, as the TF.js tool does.

    Args:
        definition: A GraphDef; it is changed.
        prefixes: `layer_0`: `layer_0/Conv2D`, `/BiasAdd` and `/Relu6` become one `/Relu6`; or
            the name of a depthwise predictor without `_depthwise`.
    """
    nodes = {node.name: node for node in definition.node}
    for prefix in prefixes:
        depthwise = f"{prefix}_depthwise" in nodes
        ends = ("_depthwise", "_sum", "_relu") if depthwise else ("/Conv2D", "/BiasAdd", "/Relu6")
        first, bias, last = (nodes[f"{prefix}{end}"] for end in ends)
        activation = last.op
        last.op = "FusedDepthwiseConv2dNative" if depthwise else "_FusedConv2D"
        inputs = [*first.input, bias.input[1]]
        del last.input[:]
        last.input.extend(inputs)
        for key in ("T", "strides", "padding", "data_format", "dilations"):
            if key in first.attr:
                last.attr[key].CopyFrom(first.attr[key])
        last.attr["num_args"].i = 1
        last.attr["fused_ops"].list.s.extend([b"BiasAdd", activation.encode()])
        definition.node.remove(first)
        definition.node.remove(bias)


def write_tfjs(tf, definition, folder, stored=None, *, texts_as_lists=False, shard=1000):
    """Write model.json and its weights, in files of `shard` bytes.

    Args:
        tf: TensorFlow.
        definition: A GraphDef.
        folder: Where to.
        stored: From `quantize_weights`.
        texts_as_lists: Write texts as lists of bytes, as old versions of the TF.js tool do.
        shard: Bytes a file.
    """
    weights, content = [], b""
    topology = json_format.MessageToDict(definition)
    by_name = {node.name: node for node in definition.node}
    for node in topology["node"]:
        if texts_as_lists:
            for attribute in node.get("attr", {}).values():
                if "s" in attribute:
                    text = by_name[node["name"]].attr["data_format"].s
                    attribute["s"] = list(text) if attribute["s"] == "TkhXQw==" else attribute["s"]
        if node["op"] != "Const":
            continue
        value = tf.make_ndarray(by_name[node["name"]].attr["value"].tensor)
        node["attr"]["value"]["tensor"].pop("tensorContent", None)
        node["attr"]["value"]["tensor"].pop("floatVal", None)
        entry = {"name": node["name"], "shape": list(value.shape), "dtype": str(value.dtype)}
        if stored and node["name"] in stored:
            entry["quantization"], value = stored[node["name"]]
        weights.append(entry)
        content += value.tobytes()
    paths = []
    for number, start in enumerate(range(0, len(content), shard)):
        paths.append(f"group1-shard{number}.bin")
        (folder / paths[-1]).write_bytes(content[start : start + shard])
    model = {
        "format": "graph-model",
        "modelTopology": topology,
        "weightsManifest": [{"paths": paths, "weights": weights}],
    }
    (folder / "model.json").write_text(json.dumps(model), encoding="utf-8")
