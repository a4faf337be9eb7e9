"""Asks for known vulnerabilities of the packages of this environment and of the image: `python .ci/audit.py`.

Ends with exit code 1 if there is one. If no database of vulnerabilities can be reached, it says so, and ends with 0;
with `--required` that is exit code 1, too. Other options are those of pip-audit.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
AUDITED = {
    "environment": ("--skip-editable",),
    "image": ("--disable-pip", "--no-deps", "--requirement", str(ROOT / "deploy" / "image" / "install.txt")),
}


def ask(*options: str) -> list[dict[str, Any]]:
    """What pip-audit found out about each package; empty if it could not ask."""
    argv = [sys.executable, "-m", "pip_audit", "--format=json", "--progress-spinner=off", *options]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)  # noqa: S603
    # pip-audit has the same exit code for a vulnerability and for a failure: only the first one prints a document.
    return json.loads(done.stdout)["dependencies"] if done.stdout.strip() else []


def verdict(packages: list[dict[str, Any]]) -> tuple[bool, list[str]]:
    """Whether a database answered, and a line for each known vulnerability."""
    # An index that has packages but no vulnerabilities answers nothing about any of them: that is no clean result.
    answered = any("vulns" in package for package in packages)
    return answered, [
        f"{package['name']} {package['version']}: {each['id']}, fixed in {', '.join(each['fix_versions']) or 'none'}"
        for package in packages
        for each in package.get("vulns", ())
    ]


def main(arguments: list[str]) -> int:
    """Prints a line for each of AUDITED, and one for each vulnerability."""
    required = "--required" in arguments
    failed = False
    for name, options in AUDITED.items():
        packages = ask(*options, *(each for each in arguments if each != "--required"))
        answered, found = verdict(packages)
        if answered:
            print(f"Known vulnerabilities, {name}: {len(found) or 'none'}", *found, sep="\n  ")
        else:
            print(f"Known vulnerabilities, {name}: NOT LOOKED UP, since no database of them can be reached.")
        failed |= bool(found) or (required and not answered)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
