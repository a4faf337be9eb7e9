"""`python -m rotation`, scripts/rotate.py and keyring-rotate all start here."""

from __future__ import annotations

import signal
import sys
from typing import NoReturn

from rotation.model.text import install


def start() -> NoReturn:
    """Runs the command line, or says which extra it needs."""
    # Until the command line has a handler of its own: a traceback from the middle of an import helps nobody.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        from rotation.cli.main import entry  # noqa: PLC0415 - services install this package without the extra
    except ModuleNotFoundError as error:
        sys.stderr.write(f"Error: {error.name} is missing; {install()}\n")
        sys.exit(2)
    entry()


if __name__ == "__main__":
    start()
