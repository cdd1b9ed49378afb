"""Programs around the models: convert, agreement, bench, devices, doctor."""
