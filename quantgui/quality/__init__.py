"""How well a model still predicts text: measured, with standard errors. Runs in the child process."""
