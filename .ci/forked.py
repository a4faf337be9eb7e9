"""Does a thing in a copy of this process, whose caches are then as empty as before. Imports nothing of this project."""

from __future__ import annotations

import inspect
import io
import json
import os
import sys
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from types import CodeType
from typing import Any

ROOT = Path(__file__).parents[1]
FOLDERS = tuple(f"{ROOT / name}{os.sep}" for name in ("keyring_core", "rotation"))
"""Where the code is that is counted."""
_COMPREHENSIONS = {"<listcomp>", "<dictcomp>", "<setcomp>"}


def is_function(code: CodeType) -> bool:
    """True for a function. Comprehensions are not: only some versions of Python call them."""
    # The body of a module or a class is not optimized.
    return bool(code.co_flags & inspect.CO_OPTIMIZED) and code.co_name not in _COMPREHENSIONS


def in_a_process(act: Callable[[], Any]) -> Any:
    """What *act* returns, as JSON, called in a copy of this process. Exits with its message if it fails."""
    reading, writing = os.pipe()
    if (child := os.fork()) == 0:
        code, errors = 1, sys.stderr
        try:
            with open(writing, "w") as pipe, redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
                json.dump(act(), pipe)
            code = 0
        except SystemExit as exit_:
            print(exit_.code, file=errors, flush=True)
        except Exception:
            sys.excepthook(*sys.exc_info())
        finally:
            os._exit(code)
    os.close(writing)
    with open(reading) as pipe:
        answer = pipe.read()
    if os.waitpid(child, 0)[1]:
        sys.exit(1)
    return json.loads(answer)


def start_again_with_fixed_hashes() -> None:
    """Starts the script again: otherwise the order of sets, and with it what is counted, differs from run to run."""
    if os.environ.get("PYTHONHASHSEED") != "0":
        environ = {**os.environ, "PYTHONHASHSEED": "0", "COLUMNS": "80"}
        os.execve(sys.executable, [sys.executable, *sys.argv], environ)  # noqa: S606
