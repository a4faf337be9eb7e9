#!/usr/bin/env python3
"""Re-encrypts stored tokens under the newest key. `rotate.py --help` lists the commands."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from rotation.__main__ import start

if __name__ == "__main__":  # a worker process imports this file, too
    start()
