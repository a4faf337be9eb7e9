"""`python -m rotation`, scripts/rotate.py and keyring-rotate all start here."""

from __future__ import annotations

import gc
import signal
import sys
from importlib.util import find_spec
from typing import NoReturn

from rotation.model.text import be, install

MODULES = (
    *("cryptography", "structlog"),
    *("click", "dotenv", "jinja2", "msgspec", "nagiosplugin", "prometheus_client", "rich", "sqlalchemy", "tenacity"),
)
"""What the package needs, and its extra `rotate`: commands import most of it late, in the middle of their work."""


def start() -> NoReturn:
    """Runs the command line, or says which extra it needs."""
    # Until the command line has a handler of its own: a traceback from the middle of an import helps nobody.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    # Imports and batches make tens of thousands of small objects and few cycles: collecting less often is enough.
    gc.set_threshold(20_000, 50, 50)
    if missing := [name for name in MODULES if find_spec(name) is None]:
        sys.stderr.write(f"Error: {', '.join(missing)} {be(len(missing))} missing; {install()}\n")
        sys.exit(2)
    _import_structlog()
    from rotation.cli.main import entry  # noqa: PLC0415 - services install this package without the extra

    entry()


def _import_structlog() -> None:
    """Imports structlog without rich.

    It imports rich if it can, for tracebacks with the values of variables, which this program never prints. That would
    be a third of what `--help` costs.
    """
    # Python then reports that there is no such module.
    sys.modules["rich"] = None  # type: ignore[assignment]
    import structlog  # noqa: F401, PLC0415 - as above

    del sys.modules["rich"]


if __name__ == "__main__":
    start()
