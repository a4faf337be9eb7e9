"""Secrets that nobody registered: their shape gives them away."""

from __future__ import annotations

import base64
import json
import secrets
import string
from collections.abc import Callable

from tests.keyring_core.redaction.leaks.case import World, leak

ALNUM = string.ascii_letters + string.digits


def fill(world: World, length: int, alphabet: str = ALNUM) -> str:
    """Random characters around a piece of the unknown secret, so that a search finds them."""
    piece = "".join(character for character in world.unknown if character in alphabet)[:14]
    return (piece + "".join(secrets.choice(alphabet) for _ in range(length)))[:length]


SHAPES: dict[str, Callable[[World], str]] = {
    "fernet_token": lambda w: w.token,
    "fernet_token_bytes": lambda w: repr(w.token.encode()),
    "fernet_token_cut": lambda w: w.token[:64],
    "fernet_token_unpadded": lambda w: w.token.rstrip("="),
    "fernet_token_behind_newline": lambda w: f"x\n{w.token}",
    "fernet_token_in_json": lambda w: json.dumps({"cell": w.token}),
    "fernet_token_in_base64": lambda w: base64.b64encode(w.token.encode()).decode(),
    "fernet_key": lambda w: fill(w, 40) + "Qz4=",
    "jwt": lambda w: "eyJ" + fill(w, 20) + ".eyJ" + fill(w, 30) + "." + fill(w, 43),
    "pem": lambda w: "-----BEGIN RSA " + "PRIVATE KEY-----\n" + fill(w, 64) + "\n-----END RSA " + "PRIVATE KEY-----",
    "pem_in_json": lambda w: json.dumps(
        "-----BEGIN " + "PRIVATE KEY-----\n" + fill(w, 64) + "\n-----END PRIVATE KEY-----"
    ),
    "pem_unfinished": lambda w: "-----BEGIN EC " + "PRIVATE KEY-----\n" + fill(w, 64),
    "openssh": lambda w: "-----BEGIN OPENSSH " + "PRIVATE KEY-----\n" + fill(w, 64),
    "age_key": lambda w: "AGE-SECRET-KEY-1" + fill(w, 58, string.ascii_uppercase + string.digits) + " " + w.token,
    "github": lambda w: "ghp_" + fill(w, 36),
    "github_app": lambda w: "ghs_" + fill(w, 36),
    "github_fine_grained": lambda w: "github_pat_" + fill(w, 60),
    "gitlab": lambda w: "glpat-" + fill(w, 20),
    "slack": lambda w: "xoxb-" + "123456789012-" + fill(w, 24),
    "slack_hook": lambda w: "https://hooks.slack.com/services/T01AB23CD/B01AB23CD/" + fill(w, 24),
    "stripe": lambda w: "sk_live_" + fill(w, 24),
    "stripe_restricted": lambda w: "rk_test_" + fill(w, 24),
    "stripe_webhook": lambda w: "whsec_" + fill(w, 32),
    "google": lambda w: "AIza" + fill(w, 35),
    "google_oauth": lambda w: "ya29." + fill(w, 60),
    "openai": lambda w: "sk-proj-" + fill(w, 40),
    "npm": lambda w: "npm_" + fill(w, 36),
    "pypi": lambda w: "pypi-AgEIcHlwaS5vcmc" + fill(w, 60),
    "sendgrid": lambda w: "SG." + fill(w, 22) + "." + fill(w, 43),
    "huggingface": lambda w: "hf_" + fill(w, 34),
    "vault": lambda w: "hvs." + fill(w, 90),
    "url_password": lambda w: f"postgresql://app:{w.unknown}@db/app",
    "url_password_without_user": lambda w: f"redis://:{w.unknown}@cache:6379/0",
    "url_password_with_slash": lambda w: f"postgresql://app:{w.unknown}/x@db/app",
    "url_password_with_at": lambda w: f"mysql://app:p@{w.unknown}@db/app",
    "url_token": lambda w: f"https://{w.unknown}0@git.example/repo",
    "url_in_bytes": lambda w: repr(f"amqp://app:{w.unknown}@mq/".encode()),
    "bearer": lambda w: f"Authorization: Bearer {w.unknown}",
    "bearer_alone": lambda w: f"sent Bearer {w.unknown} to h",
    "basic": lambda w: f"'Authorization': 'Basic {w.unknown}'",
    "digest": lambda w: f"Authorization: Digest username=bob, response={w.unknown}",
    "proxy_authorization": lambda w: f"Proxy-Authorization: Basic {w.unknown}",
    "sqlalchemy_parameters": lambda w: (
        f"(psycopg.Error) x\n[SQL: UPDATE t]\n[parameters: ('{w.unknown}', 7)]\n(Background on"
    ),
    "sqlalchemy_echo": lambda w: f"[generated in 0.00012s] ('{w.unknown}', 7)",
    "postgres_key_detail": lambda w: f"DETAIL:  Key (cell)=({w.unknown}) already exists.",
    "postgres_row_detail": lambda w: f"DETAIL:  Failing row contains (7, {w.unknown}, null).",
    "mysql_duplicate": lambda w: f"(1062, \"Duplicate entry '{w.unknown}' for key 't.cell'\")",
    "azure_signature": lambda w: f"https://h/blob?se=1&sig={fill(w, 43)}%3D",
    "aws_signature": lambda w: "https://h/?X-Amz-Signature=" + fill(w, 64, "0123456789abcdef") + " " + w.token,
}


def _case(shape: Callable[[World], str]) -> Callable[[World], None]:
    def run(world: World) -> None:
        world.log.info("shaped", field=shape(world), kept="kept")

    run.__module__ = __name__
    return run


for _name, _shape in SHAPES.items():
    leak(name=_name, alone=False)(_case(_shape))
