"""Jobs and their events: what a child process is asked to do and what it says while doing it. No Qt, no torch."""
