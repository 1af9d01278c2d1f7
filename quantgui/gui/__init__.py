"""The window: the only room with Qt. Views read one AppState and never each other."""
