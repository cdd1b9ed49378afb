"""Drawing detections on pictures."""
