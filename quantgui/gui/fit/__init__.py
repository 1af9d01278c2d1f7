"""The parts of the Fit page: what it finds, its bars, its sliders, its details."""
