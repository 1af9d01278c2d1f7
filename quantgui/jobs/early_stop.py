"""A person may ask a training to end early and keep what it has learned; cancelling, in contrast, kills the child.

The parent writes `REQUEST` to the child's stdin, where the worker hears it; the training looks between two steps.
"""

from __future__ import annotations

import threading

REQUEST = b"stop early\n"
REQUESTED = threading.Event()
"""Set in the child, which does one job and ends."""
