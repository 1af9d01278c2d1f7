"""The parts of the Inspect page: the tensors of a run, and one of them in detail."""
