"""QuantGUI: fit language models to real hardware, quantize them, and look at what that did."""

__version__ = "0.1.0"
