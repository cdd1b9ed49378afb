"""The families' sections of a manifest, one module each; see `edge_detect.models.spec`."""
