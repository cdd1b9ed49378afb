"""Darknet's activation functions, of operations that quantize well in TFLite."""

from typing import Any

__all__ = ["activate"]

_LEAKY_SLOPE = 0.1


def activate(tf: Any, name: str, tensor: Any) -> Any:
    """Apply one of `darknet_options.ACTIVATIONS`.

    Args:
        tf: TensorFlow.
        name: As cfg files have it.
        tensor: Any shape, float32.

    Reference:
        Darknet's activations.h and activations.c.
    """
    match name:
        case "leaky":
            return tf.nn.leaky_relu(tensor, _LEAKY_SLOPE)
        case "relu":
            return tf.nn.relu(tensor)
        case "relu6":
            return tf.nn.relu6(tensor)
        case "elu":
            return tf.nn.elu(tensor)
        case "logistic":
            return tf.nn.sigmoid(tensor)
        case "tanh":
            return tf.tanh(tensor)
        case "loggy":
            return tf.tanh(0.5 * tensor)
        case "hardtan":
            return tf.clip_by_value(tensor, -1.0, 1.0)
        case "swish":
            return tensor * tf.nn.sigmoid(tensor)
        case "mish":
            # x tanh(softplus(x)); the softplus is spelt so that every step stays in a
            # small range: exp(x) would overflow, and take all of int8's resolution.
            log_term = tf.math.log(1.0 + tf.exp(-tf.abs(tensor)))
            return tensor * tf.tanh(tf.nn.relu(tensor) + log_term)
        case "hard_mish":
            # x above 0, x + x^2 / 2 down to -2, and 0 below.
            bend = tf.clip_by_value(tensor, -2.0, 0.0)
            return tf.nn.relu(tensor) + bend * (1.0 + 0.5 * bend)
        case _:
            return tensor
