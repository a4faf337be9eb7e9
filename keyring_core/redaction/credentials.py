"""Finds credentials with a well-known prefix. Each has a long run of letters and digits, which is searched first.

The literals that vendors' credentials begin with, and what follows them, are from the vendors' own pages and from the
rules of gitleaks and trufflehog.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

from keyring_core.redaction.effort import READ, Effort, Limit, bounded, rest
from keyring_core.redaction.patterns import ANY_CASE, Shape, by_first_character, by_gate, compiled, hidden
from keyring_core.redaction.spans import Span

# The start of a word, also right after an escaped newline in JSON, whose last character is a letter.
START = r"(?:(?<![A-Za-z0-9])|(?<=\\[nrt]))"
_NO_TEXT_BEFORE = r"(?<![A-Za-z0-9+/_-])"
_OPAQUE = r"[A-Za-z0-9_-]"
_HAS_DIGIT = rf"(?={_OPAQUE}{{0,80}}[0-9])"
JWT = "eyJ"


def _after(gates: str, body: str, label: str, *, before: str = START) -> Iterator[Shape]:
    """A shape for each of *gates*: it, and then *body*. *before* is a pattern without width; "" is any place."""
    for gate in gates.split():
        yield Shape(gate, before + gate.replace(".", r"\.") + body, label)


SHAPES = by_gate(
    # A Fernet token starts with its version and the upper half of a time before the year 2242; then in base64 again.
    *_after("gAAAAA", r"[A-Za-z0-9_+/-]{14,}={0,2}", "fernet-token", before=""),
    *_after("Z0FBQUFB", r"[A-Za-z0-9_+/-]{18,}={0,2}", "fernet-token", before=""),
    *_after(JWT, rf"{_OPAQUE}{{8,}}\.{_OPAQUE}{{8,}}(?:\.{_OPAQUE}*){{0,3}}", "jwt", before=""),
    # Flask's session: payload, time and HMAC of itsdangerous.
    *_after("eyJ .eJ", rf"{_OPAQUE}{{6,}}\.{_OPAQUE}{{5,7}}\.{_OPAQUE}{{27,86}}", "session", before=""),
    *_after("AGE-SECRET-KEY-1", r"[0-9A-Z]{20,}", "private-key", before=""),
    # Cloud providers.
    *_after("AKIA ASIA", r"[0-9A-Z]{16}(?![0-9A-Za-z])", "aws-key"),
    *_after("AIza", rf"{_OPAQUE}{{30,}}", "google-key", before=""),
    *_after("GOCSPX-", rf"{_OPAQUE}{{20,}}", "google-key", before=""),
    *_after("ya29.", rf"{_OPAQUE}{{20,}}", "google-token", before=""),
    Shape("Q~", r"[A-Za-z0-9_~.]{3}[0-9]Q~[A-Za-z0-9_~.-]{31,34}(?![A-Za-z0-9_~.-])", "azure-secret", before=4),
    *_after("LTAI", r"[A-Za-z0-9]{20}(?![A-Za-z0-9])", "alibaba-key"),
    *_after("dop_v1_ doo_v1_ dor_v1_", r"[a-f0-9]{32,}", "digitalocean-token", before=""),
    *_after("HRKU-", rf"{_OPAQUE}{{30,}}", "heroku-key"),
    *_after("fo1_", rf"{_OPAQUE}{{43}}", "fly-token"),
    *_after("fm1a_ fm1r_ fm2_", r"[A-Za-z0-9+/]{100,}={0,3}(?:,fm(?:1[ar]|2)_[A-Za-z0-9+/]{100,}={0,3})*", "fly-token"),
    *_after("cfut_ cfat_ cfk_", r"[A-Za-z0-9]{40}[0-9a-f]{8}", "cloudflare-token"),
    *_after("nfp_", r"[A-Za-z0-9_]{36}", "netlify-token"),
    *_after("vcp_ vci_ vca_ vcr_ vck_", rf"{_OPAQUE}{{50,}}", "vercel-token"),
    # Code, packages and builds.
    *_after("ghp_ gho_ ghu_ ghs_ ghr_", r"[A-Za-z0-9]{30,}", "github-token", before=""),
    *_after("github_pat_", r"[A-Za-z0-9_]{30,}", "github-token", before=""),
    *_after(
        "glpat- gldt- glrt- glrtr- glptt- glcbt- glft- glsoat- glagent- glimt- gloas- glffct- glwt-",
        rf"{_OPAQUE}{{16,}}(?:\.[0-9a-z]{{2}}\.?[0-9a-z]{{7,9}}(?![0-9A-Za-z]))?",
        "gitlab-token",
        before="",
    ),
    *_after("GR1348941", rf"{_OPAQUE}{{20,}}", "gitlab-token"),
    *_after("ATATT3 ATCTT3", r"[A-Za-z0-9_=-]{60,}", "atlassian-token"),
    *_after("npm_", r"[A-Za-z0-9]{30,}", "npm-token", before=""),
    *_after("pypi-AgE", rf"{_OPAQUE}{{30,}}", "pypi-token", before=""),
    *_after("rubygems_", r"[0-9a-f]{40,}", "rubygems-key"),
    *_after("CLOJARS_", r"[0-9a-z]{60}", "clojars-token"),
    *_after("AKCp", r"[A-Za-z0-9]{69}", "artifactory-key"),
    *_after("dckr_pat_ dckr_oat_", rf"{_OPAQUE}{{20,}}", "docker-token"),
    *_after("bkua_", r"[0-9a-z]{40}", "buildkite-token"),
    *_after("CCIPAT_", r"[A-Za-z0-9]{22}_[0-9a-fA-F]{40}", "circleci-token"),
    *_after("sgp_", r"(?:[0-9a-fA-F]{16}_|local_)?[0-9a-fA-F]{40}", "sourcegraph-token"),
    *_after("hf_", r"[A-Za-z0-9]{30,}", "huggingface-token"),
    *_after("r8_", r"[A-Za-z0-9]{37}(?![A-Za-z0-9_-])", "replicate-token"),
    # Operations.
    *_after("hvs. hvb. hvr.", rf"{_OPAQUE}{{20,}}", "vault-token"),
    Shape(".atlasv1.", r"[A-Za-z0-9]{14}\.atlasv1\.[A-Za-z0-9_=-]{60,70}", "terraform-token", before=14),
    *_after("pul-", r"[0-9a-f]{40}", "pulumi-token"),
    *_after("sha256~", rf"{_OPAQUE}{{43}}", "openshift-token"),
    *_after("dp.ct. dp.pt. dp.sa. dp.scim. dp.audit.", r"[A-Za-z0-9]{40,44}", "doppler-token"),
    *_after("dp.st.", r"(?:[a-z0-9_-]{2,35}\.)?[A-Za-z0-9]{40,44}", "doppler-token"),
    *_after("ops_eyJ", r"[A-Za-z0-9+/]{100,}={0,2}", "onepassword-token"),
    *_after("glsa_", r"[A-Za-z0-9]{32}_[A-Fa-f0-9]{8}", "grafana-token"),
    *_after("glc_eyJ", r"[A-Za-z0-9+/]{20,}={0,2}", "grafana-token"),
    *_after("NRAK- NRII- NRIQ-", rf"{_OPAQUE}{{24,}}", "newrelic-key"),
    *_after("dt0c01.", r"[A-Z0-9]{24}\.[A-Z0-9]{64}", "dynatrace-token"),
    *_after("sntrys_eyJ", r"[A-Za-z0-9+/_=-]{60,}", "sentry-token"),
    *_after("sntryu_", r"[0-9a-f]{64}", "sentry-token"),
    *_after("tskey-", r"[a-z]{1,20}-[A-Za-z0-9]{1,40}-[A-Za-z0-9]{16,}", "tailscale-key"),
    *_after("pnu_", r"[A-Za-z0-9]{36}", "prefect-key"),
    *_after("dapi", r"[0-9a-f]{32}(?:-[0-9])?(?![0-9A-Za-z])", "databricks-token"),
    *_after("sbp_", r"[0-9a-f]{40}", "supabase-key"),
    *_after("sb_secret_", rf"{_OPAQUE}{{20,}}", "supabase-key"),
    *_after("pscale_tkn_ pscale_pw_ pscale_oauth_", r"[A-Za-z0-9_=.-]{32,}", "planetscale-token"),
    # Models.
    *_after("sk-", rf"{_HAS_DIGIT}{_OPAQUE}{{20,}}", "api-key"),
    *_after("pplx- gsk_", r"[A-Za-z0-9]{40,}", "api-key"),
    *_after("xai-", r"[A-Za-z0-9_]{60,}", "api-key"),
    *_after("lsv2_pt_ lsv2_sk_", r"[0-9a-f]{32}_[0-9a-f]{10}", "langsmith-key"),
    # Messages and mail.
    *_after("xox", rf"[a-z](?:\.xox[a-z])?-{_OPAQUE}{{10,}}", "slack-token", before=""),
    *_after("xapp-", rf"{_OPAQUE}{{20,}}", "slack-token"),
    *_after("SG.", rf"{_OPAQUE}{{16,}}\.{_OPAQUE}{{16,}}", "sendgrid-key"),
    *_after("xkeysib-", r"[0-9a-f]{64}-[A-Za-z0-9]{16}", "brevo-key"),
    *_after("key-", r"[0-9a-z]{32}(?![A-Za-z0-9])", "mailgun-key", before=r"(?<![A-Za-z0-9_-])"),
    Shape(":AA", r"(?<=[0-9]):(?P<hide>AA[A-Za-z0-9_-]{33})(?![A-Za-z0-9_-])", "telegram-token"),
    # Payment and shops.
    *_after("sk_live_ sk_test_ rk_live_ rk_test_", r"[A-Za-z0-9]{10,}", "stripe-key", before=""),
    *_after("whsec_", r"[A-Za-z0-9+/=]{16,}", "stripe-key", before=""),
    *_after("sq0atp- sq0csp-", rf"{_OPAQUE}{{22,}}", "square-token"),
    *_after("EAAA", rf"{_OPAQUE}{{60}}(?![A-Za-z0-9+/_=-])", "square-token", before=_NO_TEXT_BEFORE),
    *_after("EAA", r"[A-Z][A-Za-z0-9]{100,}(?![A-Za-z0-9+/=])", "facebook-token", before=_NO_TEXT_BEFORE),
    *_after("shpat_ shpca_ shppa_ shpss_", r"[a-fA-F0-9]{32}", "shopify-token", before=""),
    *_after("EZAK EZTK", r"[A-Za-z0-9]{54}", "easypost-key"),
    *_after("FLWSECK_TEST- FLWSECK-", r"[0-9a-zA-Z]{12,}(?:-X)?", "flutterwave-key"),
    # Offices.
    *_after("lin_api_ lin_oauth_", r"[A-Za-z0-9]{32,}", "linear-key"),
    *_after("ntn_", r"[0-9]{8,}[A-Za-z0-9]{30,}", "notion-token"),
    *_after("secret_", r"[A-Za-z0-9]{43}(?![A-Za-z0-9])", "notion-token"),
    *_after("PMAK-", r"[0-9a-f]{24}-[0-9a-f]{34}", "postman-key"),
    *_after("pat", r"[A-Za-z0-9]{14}\.[0-9a-f]{64}", "airtable-token"),
    *_after("p8e-", rf"{_OPAQUE}{{32}}", "adobe-secret"),
    *_after("figd_ figp_", rf"{_OPAQUE}{{40,}}", "figma-token"),
    *_after("rdme_", r"[0-9a-z]{70}", "readme-key"),
    *_after("CFPAT-", rf"{_OPAQUE}{{43}}", "contentful-token"),
)

_BEARER = Shape("bearer", r"bearer\s{1,3}(?P<hide>(?=[\w.~+/-]{0,80}[0-9])[\w.~+/-]{16,}=*)", "authorization")
_LONGEST_OUTSIDE = 16  # of a gate, or of "Bearer" and the blanks behind it, before the run

_CLASSES = bytes(
    ord("a") if (chr(byte).isalnum() and byte < 128) or chr(byte) in "_-" else ord(" ") for byte in range(256)
)
_LONG_RUN = b"a" * 16

_KEY_LENGTH = 43
# After "/" and "-" too, as in a URL or an option, unless that is a character of a longer base64 text.
_KEY = (
    r"(?:(?<![A-Za-z0-9_+])|(?<=\\[nrt]))(?<![A-Za-z0-9_+/=-]{44})"
    r"(?=\S{0,42}[A-Z])(?=\S{0,42}[a-z])(?=\S{0,42}[0-9])[A-Za-z0-9_+/-]{43}=(?![A-Za-z0-9=])"
)
# The name of a digest or public key, which looks like a Fernet key: "sha256=", contentHash: ", public_key '.
_DIGEST_NAME = (
    r"(?:(?<![A-Za-z])|(?<=[a-z])(?=[A-Z]))"
    r"(?i:(?:hostpub)?sha-?256|digest|hash|checksum|integrity|fingerprint|thumbprint|etag|pubkey|public(?:[ _-]?key)?)"
    r"(?i:e?s|[ _-]?value)?(?i:[ _-]?\(?(?:b64|base64))?[^A-Za-z0-9]{0,12}(?:W/\\{0,7}\")?\Z|(?<= h1:)\Z"
)


def find_credentials(text: str, data: bytes, limit: Limit = bounded) -> list[Span]:
    """The credentials in *text*. *data* is *text* as bytes of its length."""
    effort = limit(len(text))
    spans: list[Span] = []
    classes = data.translate(_CLASSES)
    start = classes.find(_LONG_RUN)
    while start >= 0:
        end = classes.find(b" ", start + len(_LONG_RUN))
        end = len(classes) if end < 0 else end
        if start and text[start - 1] in " \t\r\n.~+/":  # between "Bearer" and the run
            gate = compiled(r"bearer\s", ANY_CASE).search(text, max(0, start - _LONGEST_OUTSIDE), start)
            found = compiled(_BEARER.pattern, ANY_CASE).match(text, gate.start()) if gate is not None else None
            spans += hidden(found, _BEARER) if found is not None else ()
        run = data[start:end]
        # A UUID, a trace id, a digest and a time need no search: each gate and each key holds another character.
        if run.strip(b"0123456789abcdef-"):
            letters = run.translate(None, b"_-")
            if not (letters.islower() and letters.isalpha()):  # words of a name
                spans += _in_run(text, start, end, effort)
            equals = text.find("=", end, end + _KEY_LENGTH - len(_LONG_RUN))
            if equals >= _KEY_LENGTH:
                spans += _key(text, equals)
        start = classes.find(_LONG_RUN, end)
    return spans


def _in_run(text: str, start: int, end: int, effort: Effort) -> Iterator[Span]:
    """The secrets in one run of letters, digits, ``_`` and ``-``."""
    failed = ""
    # A gate of several parts begins before the run.
    begin = max(0, start - _LONGEST_OUTSIDE) if start and text[start - 1] in ".~:" else start
    gate = _any_gate().search(text, begin, end)
    while gate is not None:
        place = gate.start()
        if gate[0] != failed:
            if not effort.step(READ):
                yield rest(text, place)
                return
            for shape in _shapes_at(gate[0]):
                found = compiled(shape.pattern).match(text, max(0, place - shape.before))
                if found is not None:
                    yield from hidden(found, shape)
                    # A gate inside a match is part of it.
                    place = max(place, found.end() - 1)
                    break
            else:
                # Searching on would be quadratic: if one gate of a JWT in this run does not match, none does.
                failed = JWT if gate[0] == JWT and place >= start else failed
        gate = _any_gate().search(text, place + 1, end)


@cache
def _shapes_at(gate: str) -> tuple[Shape, ...]:
    """The shapes of *gate*, and of the gates that it begins with."""
    return tuple(shape for other in (gate, *SHAPES) if gate.startswith(other) for shape in SHAPES[other])


def _key(text: str, equals: int) -> Iterator[Span]:
    """The Fernet key that ends in the sign at *equals*. "+" and "/" of the other alphabet cut it into several runs."""
    start = equals - _KEY_LENGTH
    # The last character of 32 bytes in base64 carries four bits.
    is_key = text[equals - 1] in "AEIMQUYcgkosw048" and compiled(_KEY).match(text, start)
    if is_key and not compiled(_DIGEST_NAME).search(text, max(0, start - 32), start):
        yield Span(start, equals + 1, "fernet-key")


@cache
def _any_gate() -> re.Pattern[str]:
    """Finds the gates: first those that may stand anywhere in a run, then those that begin a word."""
    longest_first = sorted(SHAPES, key=len, reverse=True)
    begin_words = [gate for gate in longest_first if all(shape.pattern.startswith(START) for shape in SHAPES[gate])]
    anywhere = by_first_character(re.escape(gate) for gate in longest_first if gate not in begin_words)
    return re.compile(f"{anywhere}|{START}(?:{by_first_character(map(re.escape, begin_words))})")
