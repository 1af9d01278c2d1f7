"""Calibration: the text a method learns from, and a model's activations captured layer by layer."""
