"""The parts of the Run page: before, during and after a run, and the library of finished ones."""
