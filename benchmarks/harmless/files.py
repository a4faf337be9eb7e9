"""Lines of real files, as diffs, tracebacks and reviews show them: source code, catalogues, pages, manifests."""

from __future__ import annotations

import sysconfig
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from benchmarks.harmless.commands import PACKAGES, ROOT
from benchmarks.harmless.examples import harmless
from benchmarks.harmless.kinds import Kind, UnavailableError

STDLIB = Path(sysconfig.get_path("stdlib"))

FILES: dict[str, tuple[Path, Sequence[str]]] = {
    "source: Django's auth": (PACKAGES, ["django/contrib/auth/**/*.py"]),
    "source: Django's sessions and CSRF": (
        PACKAGES,
        ["django/contrib/sessions/**/*.py", "django/middleware/*.py", "django/http/*.py", "django/core/signing.py"],
    ),
    "source: Django REST framework": (PACKAGES, ["rest_framework/auth*/**/*.py", "rest_framework/*.py"]),
    "source: FastAPI and Starlette": (PACKAGES, ["fastapi/security/*.py", "starlette/**/*.py"]),
    "source: requests and urllib3": (PACKAGES, ["requests/*.py", "urllib3/**/*.py"]),
    "source: SQLAlchemy": (PACKAGES, ["sqlalchemy/engine/*.py", "sqlalchemy/dialects/**/*.py"]),
    "source: Celery and kombu": (PACKAGES, ["celery/**/*.py", "kombu/**/*.py"]),
    "source: database drivers": (PACKAGES, ["psycopg/*.py", "pymysql/*.py", "asyncpg/*.py"]),
    "source: pip, keyring, twine": (
        PACKAGES,
        ["pip/_internal/network/*.py", "keyring/**/*.py", "twine/*.py", "secretstorage/*.py"],
    ),
    "source: tokenizers and parsers": (
        PACKAGES,
        ["sqlparse/**/*.py", "pygments/lexer*.py", "jinja2/*.py", "lark/*.py"],
    ),
    "source: the standard library's mail and HTTP": (STDLIB, ["smtplib.py", "imaplib.py", "ftplib.py", "http/*.py"]),
    "source: the standard library's secrets": (
        STDLIB,
        ["getpass.py", "netrc.py", "hmac.py", "secrets.py", "tokenize.py", "ssl.py", "urllib/request.py"],
    ),
    "source: keyring_core and rotation": (ROOT, ["keyring_core/*.py", "rotation/**/*.py"]),
    "HTML forms": (PACKAGES, ["django/contrib/**/templates/**/*.html", "rest_framework/templates/**/*.html"]),
    "message catalogues": (PACKAGES, ["django/contrib/auth/locale/*/LC_MESSAGES/django.po"]),
    "message catalogues of other packages": (PACKAGES, ["django/contrib/admin/locale/*/LC_MESSAGES/*.po"]),
    "schemas of Kubernetes": (
        PACKAGES,
        [
            f"kubernetes_validate/**/v1.37*/{name}*.json"
            for name in ("secret", "token", "podspec", "serviceaccount", "env")
        ],
    ),
    "manifests and units": (ROOT, ["deploy/**/*", "compose.yaml", "Dockerfile", ".github/**/*.yml", "mkdocs.yml"]),
    "documentation": (ROOT, ["README.md", "docs/how-to/*.md", "docs/reference/*.md", "docs/applications/*.md"]),
    "changelogs and descriptions": (ROOT, ["CHANGELOG.md"]),
    "descriptions of packages": (PACKAGES, ["*.dist-info/METADATA"]),
    "lists of installed files": (PACKAGES, ["cryptography*.dist-info/RECORD", "[Dd]jango-*.dist-info/RECORD"]),
}


def kinds() -> Iterator[Kind]:
    """One kind for each set of files."""
    for name, (folder, patterns) in FILES.items():
        yield Kind(name, partial(_lines, folder, patterns))


def _lines(folder: Path, patterns: Sequence[str]) -> Iterator[str]:
    """The lines of the files in *folder* that match *patterns*."""
    paths = [path for pattern in patterns for path in sorted(folder.glob(pattern)) if path.is_file()]
    if not paths:
        raise UnavailableError("not installed")
    for path in paths:
        yield from harmless(path.read_text(errors="replace").splitlines())
