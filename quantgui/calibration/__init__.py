"""Calibration: text through the model, block by block, with one block's weights in memory. Runs in the child process.

`text.calibration_samples` gives token ids, `walk.Walk` runs them through the blocks; a method looks at the inputs of
each linear layer (`Block.capture`) and changes `Linear.weight` in place, which the following blocks then see.
"""
