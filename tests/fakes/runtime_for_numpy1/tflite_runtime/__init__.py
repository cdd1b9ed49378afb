"""Imitates tflite-runtime 2.14 beside numpy 2: it imports, and then cannot be used."""
