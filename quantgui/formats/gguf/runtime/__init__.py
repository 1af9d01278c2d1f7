"""Running GGUF files in llama.cpp itself: what proves a file, generates its text and measures its perplexity."""
