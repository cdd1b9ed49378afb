"""From an image to detections: manifests, runtime, pre- and post-processing."""
