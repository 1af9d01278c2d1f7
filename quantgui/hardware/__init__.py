"""Where a model is to run: this machine (probed without torch), a device of the catalogue, or values a person types."""
