"""Programs around the models: convert, agreement, bench."""
