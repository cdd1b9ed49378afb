"""The classes of COCO, which most detectors that name none were trained for.

Reference:
    Lin et al., "Microsoft COCO: Common Objects in Context", 2014; ids as in its annotations.
"""

__all__ = ["COCO_80", "COCO_90"]

COCO_80 = (
    "person",
    "bicycle",
    "car",
    "motorcycle",
    "airplane",
    "bus",
    "train",
    "truck",
    "boat",
    "traffic light",
    "fire hydrant",
    "stop sign",
    "parking meter",
    "bench",
    "bird",
    "cat",
    "dog",
    "horse",
    "sheep",
    "cow",
    "elephant",
    "bear",
    "zebra",
    "giraffe",
    "backpack",
    "umbrella",
    "handbag",
    "tie",
    "suitcase",
    "frisbee",
    "skis",
    "snowboard",
    "sports ball",
    "kite",
    "baseball bat",
    "baseball glove",
    "skateboard",
    "surfboard",
    "tennis racket",
    "bottle",
    "wine glass",
    "cup",
    "fork",
    "knife",
    "spoon",
    "bowl",
    "banana",
    "apple",
    "sandwich",
    "orange",
    "broccoli",
    "carrot",
    "hot dog",
    "pizza",
    "donut",
    "cake",
    "chair",
    "couch",
    "potted plant",
    "bed",
    "dining table",
    "toilet",
    "tv",
    "laptop",
    "mouse",
    "remote",
    "keyboard",
    "cell phone",
    "microwave",
    "oven",
    "toaster",
    "sink",
    "refrigerator",
    "book",
    "clock",
    "vase",
    "scissors",
    "teddy bear",
    "hair drier",
    "toothbrush",
)

# Category ids, from 1 to 90, that COCO has left unused.
_UNUSED = {12, 26, 29, 30, 45, 66, 68, 69, 71, 83}


def _with_gaps() -> tuple[str, ...]:
    names = iter(COCO_80)
    return tuple("n/a" if number in _UNUSED else next(names) for number in range(1, 91))


# By category id, less one.
COCO_90 = _with_gaps()
