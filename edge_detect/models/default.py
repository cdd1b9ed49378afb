"""The model that is taken where no other is named."""

__all__ = ["CPU_DEFAULT", "EDGE_TPU_DEFAULT", "default_model"]

# The best of the box for what it runs on; for an Edge TPU, the one with a twin for it.
CPU_DEFAULT = "ssdlite-mobilenet-v2-coco"
EDGE_TPU_DEFAULT = "ssd-mobilenet-v2-coco"


def default_model(*, edge_tpu: bool) -> str:
    """The name of the default model.

    Args:
        edge_tpu: Whether it is to run on an Edge TPU.
    """
    return EDGE_TPU_DEFAULT if edge_tpu else CPU_DEFAULT
