"""Documented log formats of programs that are not here, rendered with values from a seeded generator.

formats.txt holds them: a line `= name` opens a kind, every other line is a template. `«uuid»` stands for a value.
"""

from __future__ import annotations

import base64
import random
import re
import string
import uuid
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

from benchmarks.harmless.kinds import Kind

TEMPLATES = Path(__file__).with_name("formats.txt")
EACH = 12
"""Lines of one template with values."""
_FIELD = re.compile("«([a-z]+)([0-9]*)»")

PATHS = (
    "/reset-password /forgot-password /password/reset /password_reset/done/ /change-password /oauth/token"
    " /api/v1/tokens"
    " /auth/token/refresh /login?next=/ /api/secrets/db/metadata /.well-known/jwks.json /users/812/password /healthz"
    " /accounts/password_change/ /api/v2/api-keys?page=2 /static/js/password-strength.4f2a91bc.js /reset-password/sent"
    " /auth/forgot-password?lang=de /update-password /one-time-password /v1/sys/health /session/new /csrf-token"
)
NAMES = "bob alice carol dave erin frank grace heidi ivan judy mallory niaj olivia peggy rupert sybil trent victor"
SERVICES = (
    "auth-service token-service billing checkout password-reset secret-sync session-store api-gateway user-profile"
    " keycloak vault cert-manager external-secrets oauth-proxy mailer"
)
WORDS = "users orders api_tokens sessions password_resets credentials audit_log invoices secrets_metadata devices"
HOSTS = [f"{name}-{number}.eu-west.example.com" for name in ("web", "auth", "db") for number in range(1, 9)]
AGENTS = (
    "Mozilla/5.0 (X11; Linux x86_64; rv:132.0) Gecko/20100101 Firefox/132.0|curl/8.10.1|python-requests/2.32.3|"
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1"
)


def _base64(source: random.Random, size: int) -> str:
    return base64.b64encode(source.randbytes(size)).decode()


FIELDS: dict[str, Callable[[random.Random, int], object]] = {
    "uuid": lambda source, _: uuid.UUID(int=source.getrandbits(128), version=4),
    "hex": lambda source, size: source.randbytes(size).hex()[:size],
    "base": _base64,
    "pod": lambda source, _: "".join(source.choices("bcdfghjklmnpqrstvwxz2456789", k=5)),
    "int": lambda source, digits: source.randrange(10 ** ((digits or 3) - 1), 10 ** (digits or 3)),
    "ip": lambda source, _: ".".join(str(source.randrange(1, 255)) for _ in range(4)),
    "path": lambda source, _: source.choice(PATHS.split()),
    "name": lambda source, _: source.choice(NAMES.split()),
    "mail": lambda source, _: (
        f"{source.choice(NAMES.split())}.{source.choice(NAMES.split())}{source.choice(['', '7', '42'])}@example.com"
    ),
    "service": lambda source, _: source.choice(SERVICES.split()),
    "word": lambda source, _: source.choice(WORDS.split()),
    "host": lambda source, _: source.choice(HOSTS),
    "agent": lambda source, _: source.choice(AGENTS.split("|")),
    "version": lambda source, _: f"{source.randrange(1, 9)}.{source.randrange(30)}.{source.randrange(12)}",
    "day": lambda source, _: f"2026-{source.randrange(1, 13):02}-{source.randrange(1, 29):02}",
    "time": lambda source, _: f"{source.randrange(24):02}:{source.randrange(60):02}:{source.randrange(60):02}",
    "ms": lambda source, _: f"{source.randrange(1000):03}",
    "method": lambda source, _: source.choice(["GET", "GET", "POST", "PUT", "DELETE", "HEAD"]),
    "status": lambda source, _: source.choice([200, 200, 201, 204, 302, 304, 400, 401, 403, 404, 422, 429, 500, 502]),
    "region": lambda source, _: source.choice(["eu-west-1", "eu-central-1", "us-east-1", "ap-southeast-2"]),
    "id": lambda source, size: "".join(source.choices(string.ascii_letters + string.digits, k=size)),
}
"""Values by the name of their field; the number behind a name is their size."""


def kinds() -> Iterator[Kind]:
    """The kinds of formats.txt."""
    for part in TEMPLATES.read_text().split("\n= ")[1:]:
        name, *templates = part.splitlines()
        yield Kind(name, partial(rendered, name, [template for template in templates if template]))


def rendered(name: str, templates: Iterable[str]) -> Iterator[str]:
    """The lines of the kind *name*; the same each time."""
    source = random.Random(name)
    for template in templates:
        for _ in range(EACH if _FIELD.search(template) else 1):
            yield _FIELD.sub(lambda field: str(FIELDS[field[1]](source, int(field[2] or 0))), template)
