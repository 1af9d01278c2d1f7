"""The parts of the Recipe page: what the recipe will do, the list of precisions, their settings, rules and tensors."""
