"""Stands in for LiteRT where it fails at a model, as it does at damaged ones."""
