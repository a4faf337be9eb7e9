"""Runs cases of some modules: ``python -m tests.keyring_core.redaction.leaks.run_case MODULE ...``.

It imports those once, and forks for each line ``NAME,... on|off FOLDER`` on stdin, and again for each case that is to
run alone; for the line ``cases`` it prints their names, setups, and whether each is to run alone.
Whatever a case lets out goes to files in FOLDER/NAME, stdout and stderr to one of them.
A fork's secrets are in FOLDER.in, and what it prints besides its cases goes to FOLDER.out.
"""

from __future__ import annotations

import gc
import importlib
import json
import logging
import os
import sys
from pathlib import Path

from tests.warm.server import end


def without_redaction() -> None:
    """What services have today: structlog and stdlib logging through one chain, as JSON."""
    import structlog

    shared = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
    ]
    handler = logging.StreamHandler()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                structlog.processors.JSONRenderer(),
            ],
            foreign_pre_chain=[*shared, structlog.stdlib.ExtraAdder()],
        )
    )
    logging.basicConfig(level="INFO", handlers=[handler])
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
    )


def with_redaction(setup: str, secrets: object) -> None:
    """Redaction as *setup* says: ``json``, ``console``, ``stdio``, or ``parts`` for the pieces used alone."""
    from keyring_core.loaded_keys import protect_key
    from keyring_core.redaction import configure_logging, get_redactor

    protect_key(secrets.raw, "5f0c1a9e")  # type: ignore[attr-defined]
    for name in ("password", "plaintext", "accented", "letter", "long"):
        get_redactor().add(getattr(secrets, name), name)
    if setup != "parts":
        configure_logging(renderer="console" if setup == "console" else "json", guard_stdio=setup == "stdio")


def main(names: str, mode: str, folder: str) -> None:
    """Sets the stage and runs the cases; what one raises is an uncaught exception of a real program."""
    from tests.keyring_core.redaction.leaks.canaries import Canaries
    from tests.keyring_core.redaction.leaks.case import CASES, World

    secrets = Canaries.from_json(sys.stdin.read())
    cases = [CASES[name] for name in names.split(",")]
    (setup,) = {case.setup for case in cases}
    if mode == "on":
        with_redaction(setup, secrets)
    elif setup != "parts":
        without_redaction()
    for case in cases:
        if case.alone and (child := os.fork()):
            os.waitpid(child, 0)
            continue
        own = Path(folder, case.name)
        own.mkdir()
        print_into(own / "printed")
        case.run(World(secrets, own, mode == "on"))
        if case.alone:
            return


def hide_rich() -> None:
    """Keeps structlog from importing it, which takes half of structlog's import time."""
    sys.modules["rich"] = None  # type: ignore[assignment]


def print_into(path: Path) -> None:
    """Sends all that this process prints into *path* from now on, until it has ended."""
    sys.stdout.flush()
    output = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.close(output)


def serve() -> list[str]:
    """Returns, in each fork alone, what it is to run."""
    if not any(".rich_" in module for module in sys.argv[1:]):
        hide_rich()
    for module in (*sys.argv[1:], "keyring_core.redaction", "keyring_core.loaded_keys"):
        importlib.import_module(module)
    from tests.keyring_core.redaction.leaks.case import CASES

    gc.freeze()
    while line := sys.stdin.readline():
        if line == "cases\n":
            print(json.dumps([(case.name, case.setup, case.alone) for case in CASES.values()]), flush=True)  # noqa: T201
            continue
        if (child := os.fork()) == 0:
            names, mode, folder = line.split(maxsplit=2)
            folder = folder.rstrip("\n")
            given = os.open(f"{folder}.in", os.O_RDONLY)
            output = os.open(f"{folder}.out", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            for source, sink in ((given, 0), (output, 1), (output, 2)):
                os.dup2(source, sink)
            os.closerange(3, output + 1)
            return [names, mode, folder]
        os.waitpid(child, 0)
        print("done", flush=True)  # noqa: T201
    sys.exit()


if __name__ == "__main__":
    ended: object = None
    try:
        main(*serve())
    except SystemExit as error:
        ended = error.code
    except BaseException:
        sys.excepthook(*sys.exc_info())
        ended = 1
    # A fork that takes all its modules apart copies them first, which takes longer than a case.
    end(ended)
