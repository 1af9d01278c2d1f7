"""GGUF as llama.cpp lays it out: tensor names, which tensor gets which type, and the exact size of the file."""
