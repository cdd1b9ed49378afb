"""Compiled post-processing: arrays in, arrays out."""
