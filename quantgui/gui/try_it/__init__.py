"""Trying a quantized model out: it and its original continue the same text."""
