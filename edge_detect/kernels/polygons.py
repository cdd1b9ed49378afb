"""Which points lie inside a polygon."""

from edge_detect.kernels.registry import kernel

__all__ = ["mark_inside"]


@kernel("void(float32[:,::1], float32[:,::1], float32, float32, boolean[::1])", nogil=False)
def mark_inside(boxes, corners, width, height, out):
    """Tell for each box whether its foot is inside a polygon.

    The foot is the middle of the lower edge, half a pixel up, so that what stands on the
    picture's edge is inside a polygon that reaches it. Even-odd rule: a point is inside when a
    ray from it crosses the outline an odd number of times.

    Args:
        boxes: (n, 4) float32, x_min, y_min, x_max, y_max in pixels.
        corners: (m, 2) float32, x and y from 0 to 1 of the picture, in order.
        width: Of the picture, pixels.
        height: Of the picture, pixels.
        out: (n,) bool, overwritten.

    Reference:
        Shimrat, "Algorithm 112: Position of point relative to polygon", CACM 5(8), 1962.
    """
    for i in range(boxes.shape[0]):
        x = (boxes[i, 0] + boxes[i, 2]) / (2 * width)
        y = (boxes[i, 3] - 0.5) / height
        inside = False
        before = corners.shape[0] - 1
        for corner in range(corners.shape[0]):
            x_1, y_1 = corners[corner, 0], corners[corner, 1]
            x_0, y_0 = corners[before, 0], corners[before, 1]
            if (y_1 > y) != (y_0 > y) and x < (x_0 - x_1) * (y - y_1) / (y_0 - y_1) + x_1:
                inside = not inside
            before = corner
        out[i] = inside
