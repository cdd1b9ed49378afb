"""What the mutations of a model draw: a graph, one of its parts, a number to put there."""

import numpy as np

__all__ = ["EXTREMES", "number_near", "pick", "pick_graph", "replace_number"]

# What fields of 32 bits are set to besides their neighbours.
EXTREMES = (-(2**31), -2, -1, 0, 1, 2, 255, 65_536, 2**30, 2**31 - 1)


def pick_graph(model, random):
    return random.choice(model.subgraphs)


def pick(items, random):
    """One of a list, and its number; the list may be missing or empty."""
    if items is None or not len(items):
        return None, 0
    index = random.randrange(len(items))
    return items[index], index


def number_near(random, limit, old):
    """A number for a field that had `old` and should stay below `limit`."""
    near = (limit - 1, limit, limit + 1, old + 1, old - 1)
    within = (random.randrange(max(1, limit)),)
    return int(random.choice(near + within * 4 + EXTREMES))


def replace_number(owner, field, index, value, dtype=np.int32):
    numbers = np.array(getattr(owner, field), np.int64)
    numbers[index] = value
    setattr(owner, field, numbers.astype(dtype))
