"""`python -m rotation`, scripts/rotate.py and keyring-rotate all start here."""

from __future__ import annotations

import gc
import signal
import sys
from typing import NoReturn

from rotation.model.text import install


def start() -> NoReturn:
    """Runs the command line, or says which extra it needs."""
    # Until the command line has a handler of its own: a traceback from the middle of an import helps nobody.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    # Imports and batches make tens of thousands of small objects and few cycles: collecting less often is enough.
    gc.set_threshold(20_000, 50, 50)
    try:
        from rotation.cli.main import entry  # noqa: PLC0415 - services install this package without the extra
    except ModuleNotFoundError as error:
        sys.stderr.write(f"Error: {error.name} is missing; {install()}\n")
        sys.exit(2)
    entry()


if __name__ == "__main__":
    start()
