"""One file per method. A file states `METHOD`; the registry finds it by itself."""
