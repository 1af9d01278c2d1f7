"""The same verbs without a window. Heavy work happens in a child process, as in the window."""
