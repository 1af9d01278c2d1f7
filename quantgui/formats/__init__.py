"""How quantized checkpoints lie in files: storage layouts, writers, readers, the reload check."""
