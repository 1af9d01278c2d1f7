"""Training with the rounding in place: optimum's quanto rounds, we give it the scales that the file will hold."""
