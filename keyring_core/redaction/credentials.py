"""Finds credentials with a well-known prefix. Each has a long run of letters and digits, which is searched first."""

from __future__ import annotations

import re
from collections.abc import Iterator

from keyring_core.redaction.patterns import Shape, by_gate, compiled, hidden
from keyring_core.redaction.spans import Span

# The start of a word, also right after an escaped newline in JSON, whose last character is a letter.
_START = r"(?:(?<![A-Za-z0-9])|(?<=\\[nrt]))"
_OPAQUE = r"[A-Za-z0-9_-]"
_HAS_DIGIT = rf"(?={_OPAQUE}{{0,80}}[0-9])"
_BEARER = r"[Bb][Ee][Aa][Rr][Ee][Rr]\s{1,3}(?P<hide>(?=[\w.~+/-]{0,80}[0-9])[\w.~+/-]{16,}=*)"

_JWT = "eyJ"

_SHAPES = by_gate(
    # A Fernet token starts with its version and the upper half of a time before the year 2242; then in base64 again.
    Shape("gAAAAA", r"gAAAAA[A-Za-z0-9_+/-]{14,}={0,2}", "fernet-token"),
    Shape("Z0FBQUFB", r"Z0FBQUFB[A-Za-z0-9_+/-]{18,}={0,2}", "fernet-token"),
    Shape(_JWT, rf"eyJ{_OPAQUE}{{8,}}\.{_OPAQUE}{{8,}}(?:\.{_OPAQUE}*){{0,3}}", "jwt"),
    Shape("AGE-SECRET-KEY-1", r"AGE-SECRET-KEY-1[0-9A-Z]{20,}", "private-key"),
    Shape("AKIA", rf"{_START}AKIA[0-9A-Z]{{16}}(?![0-9A-Za-z])", "aws-key"),
    Shape("ASIA", rf"{_START}ASIA[0-9A-Z]{{16}}(?![0-9A-Za-z])", "aws-key"),
    Shape("AIza", rf"AIza{_OPAQUE}{{30,}}", "google-key"),
    Shape("GOCSPX-", rf"GOCSPX-{_OPAQUE}{{20,}}", "google-key"),
    Shape("ya29.", rf"ya29\.{_OPAQUE}{{20,}}", "google-token"),
    *(Shape(f"gh{kind}_", rf"gh{kind}_[A-Za-z0-9]{{30,}}", "github-token") for kind in "pousr"),
    Shape("github_pat_", r"github_pat_[A-Za-z0-9_]{30,}", "github-token"),
    Shape("glpat-", rf"glpat-{_OPAQUE}{{16,}}", "gitlab-token"),
    Shape("xox", rf"xox[a-z](?:\.xox[a-z])?-{_OPAQUE}{{10,}}", "slack-token"),
    Shape("xapp-", rf"{_START}xapp-{_OPAQUE}{{20,}}", "slack-token"),
    *(
        Shape(f"{kind}k_{mode}_", rf"{kind}k_{mode}_[A-Za-z0-9]{{10,}}", "stripe-key")
        for kind in "sr"
        for mode in ("live", "test")
    ),
    Shape("whsec_", r"whsec_[A-Za-z0-9+/=]{16,}", "stripe-key"),
    Shape("sk-", rf"{_START}sk-{_HAS_DIGIT}{_OPAQUE}{{20,}}", "api-key"),
    Shape("npm_", r"npm_[A-Za-z0-9]{30,}", "npm-token"),
    Shape("pypi-AgE", rf"pypi-AgE{_OPAQUE}{{30,}}", "pypi-token"),
    Shape("SG.", rf"{_START}SG\.{_OPAQUE}{{16,}}\.{_OPAQUE}{{16,}}", "sendgrid-key"),
    Shape("hf_", rf"{_START}hf_[A-Za-z0-9]{{30,}}", "huggingface-token"),
    Shape("hvs.", rf"{_START}hvs\.{_OPAQUE}{{20,}}", "vault-token"),
    Shape("dop_v1_", r"dop_v1_[a-f0-9]{32,}", "digitalocean-token"),
    Shape("shpat_", r"shpat_[a-fA-F0-9]{32}", "shopify-token"),
    *(Shape(f"{word} ", _BEARER, "authorization") for word in ("Bearer", "bearer", "BEARER")),
)
_LONGEST_OUTSIDE = 10  # of a gate and the blanks behind it, before the run

_CLASSES = bytes(
    ord("a") if (chr(byte).isalnum() and byte < 128) or chr(byte) in "_-" else ord(" ") for byte in range(256)
)
_LONG_RUN = b"a" * 16

_KEY_LENGTH = 43
# The last character of 32 bytes in base64 carries four bits.
_KEY_ENDS = frozenset("AEIMQUYcgkosw048")
_KEY = (
    r"(?:(?<![A-Za-z0-9_+/-])|(?<=\\[nrt]))(?=\S{0,42}[A-Z])(?=\S{0,42}[a-z])(?=\S{0,42}[0-9])"
    r"[A-Za-z0-9_+/-]{43}=(?![A-Za-z0-9=])"
)
# The name of a digest or public key, which looks like a Fernet key: "sha256=", contentHash: ", public_key '.
_DIGEST_NAME = (
    r"(?:(?<![A-Za-z])|(?<=[a-z])(?=[A-Z]))"
    r"(?i:sha-?256|digest|hash|checksum|integrity|fingerprint|thumbprint|etag|pubkey|public(?:[ _-]?key)?)"
    r"(?i:e?s|[ _-]?value)?(?i:[ _-]?\(?(?:b64|base64))?[^A-Za-z0-9]{0,12}(?:W/\\{0,7}\")?\Z"
)
_NAME_REACH = 32


def find_credentials(text: str, data: bytes) -> list[Span]:
    """The credentials in *text*. *data* is *text* as bytes of its length."""
    spans: list[Span] = []
    classes = data.translate(_CLASSES)
    start = classes.find(_LONG_RUN)
    while start >= 0:
        end = classes.find(b" ", start)
        end = len(classes) if end < 0 else end
        run = text[start:end]
        if not run.replace("_", "").replace("-", "").isalpha() or not run.islower():
            spans += _in_run(text, start, end)
        start = classes.find(_LONG_RUN, end)
    return spans


def _in_run(text: str, start: int, end: int) -> Iterator[Span]:
    """The secrets in one run of letters, digits, ``_`` and ``-``."""
    done, failed = 0, ""
    for gate in _any_gate().finditer(text, max(0, start - _LONGEST_OUTSIDE), end):
        # Searching on from these would be quadratic: a gate inside the last match is part of it, and if one gate of
        # a JWT in this run does not match, none does.
        if gate.start() < done or gate[0] == failed:
            continue
        for shape in _SHAPES[gate[0]]:
            found = compiled(shape.pattern).match(text, gate.start())
            if found is not None:
                done = found.end()
                yield from hidden(found, shape)
                break
        else:
            failed = _JWT if gate[0] == _JWT and gate.start() >= start else failed
    # "+" and "/" of the standard alphabet cut a key's text into several runs.
    equals = text.find("=", end, end + _KEY_LENGTH - len(_LONG_RUN))
    if equals >= _KEY_LENGTH and text[equals - 1] in _KEY_ENDS and compiled(_KEY).match(text, equals - _KEY_LENGTH):
        before = text[max(0, equals - _KEY_LENGTH - _NAME_REACH) : equals - _KEY_LENGTH]
        if not compiled(_DIGEST_NAME).search(before):
            yield Span(equals - _KEY_LENGTH, equals + 1, "fernet-key")


def _any_gate() -> re.Pattern[str]:
    return compiled("|".join(map(re.escape, _SHAPES)))
