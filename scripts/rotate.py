#!/usr/bin/env python3
"""Re-encrypts stored tokens under the newest key. `rotate.py --help` lists the commands."""

import signal
import sys

if __name__ == "__main__":
    # Until the command line has a handler of its own: a traceback from the middle of an import helps nobody.
    signal.signal(signal.SIGINT, signal.SIG_DFL)

from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from rotation.__main__ import start

if __name__ == "__main__":  # a worker process imports this file, too
    start()
