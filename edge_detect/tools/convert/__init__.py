"""Turn trained networks into quantized TFLite models with manifests."""
