"""A small detector as a TensorFlow SavedModel: like YOLOv8, channels last, boxes relative."""

import numpy as np

from . import float_networks as networks

__all__ = ["detector", "save"]

_STRIDES = (8, 16)


def detector(tf, size, channels=3):
    """A function of one picture, values 0 to 1, that gives 1 x 6 x cells."""
    weights, bias = networks.score_weights(channels)
    classes = tf.constant(weights.transpose(1, 2, 3, 0), tf.float32)

    def detect(image):
        rows = []
        for stride in _STRIDES:
            cells = tf.nn.avg_pool2d(image, stride, stride, "SAME")
            logits = tf.nn.conv2d(cells, classes, 1, "SAME") + tf.constant(bias, tf.float32)
            points, _ = networks.cell_points(size, (stride,))
            centres = np.float32(points * stride / size)
            sides = np.full_like(centres, 1.5 * stride / size)
            boxes = tf.constant(np.concatenate([centres, sides], -1))
            scores = tf.sigmoid(tf.reshape(logits, (1, -1, 2)))
            rows.append(tf.concat([boxes, scores], -1))
        return {"output": tf.transpose(tf.concat(rows, 1), (0, 2, 1))}

    return detect


def save(tf, folder, size=64, *, open_size=False):
    """Write the model."""
    side = None if open_size else size
    module = tf.Module()
    picture = tf.TensorSpec((1, side, side, 3), tf.float32, name="images")
    module.detect = tf.function(detector(tf, size), input_signature=[picture])
    tf.saved_model.save(module, str(folder), signatures=module.detect)
