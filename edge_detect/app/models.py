"""`edge-detect models`: list, show, verify and pull."""

import argparse
import json
import sys

from tqdm import tqdm

from edge_detect.core import EdgeDetectError
from edge_detect.models import catalogue

__all__ = ["list_models", "pull", "show", "verify"]
