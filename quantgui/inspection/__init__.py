"""Streaming statistics of weights before and after: histograms, error measures, channel maxima. Runs in the child."""
