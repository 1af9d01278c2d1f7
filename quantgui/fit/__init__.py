"""What fits: memory per precision on given hardware, the verdict, and the smallest change that would pass."""
