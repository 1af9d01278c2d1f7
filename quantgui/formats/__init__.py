"""How quantized checkpoints lie in files: storage layouts, writers, readers and the reload check. One file per format."""
