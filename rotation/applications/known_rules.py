"""The rules by which known applications and packages make a key of a secret, as data. Holds no secret.

Every preset brings the rules of its key sets; a package that has no preset stands in `PACKAGES`.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

from keyring_core.derivation import KINDS
from rotation.applications.presets import load_preset, preset_names
from rotation.configuration.key_sets import KeySet
from rotation.configuration.key_sources import KeySource, SaltColumn


class KnownRule(NamedTuple):
    """One rule, with its parameters as an entry of rotation.toml has them."""

    derive: str
    salt: str | None = None
    """A text, or `$NAME` of a variable."""
    info: str | None = None
    iterations: int | None = None
    own_salt: bool = False
    """True if the secret is its own salt."""
    column: str | None = None
    """The column of the row that holds the salt."""
    form: str = "value"
    """What the salt is of the value in that column."""
    before: KnownRule | None = None
    """The rule that makes the secret of this one: it is the text of that rule's key."""

    @property
    def cost(self) -> int:
        """Iterations of PBKDF2."""
        return (self.iterations or 0) + (self.before.cost if self.before else 0)


class Use(NamedTuple):
    """An application or package that has a rule."""

    words: str
    app: str | None = None
    """The preset; None: it has none."""
    key_set: str = ""
    """The key set of the preset."""
    variable: str = ""
    """The variable that the preset reads the secret in."""


def _pbkdf2(salt: str, iterations: int) -> KnownRule:
    return KnownRule("pbkdf2-sha256", salt, iterations=iterations)


def _hkdf(salt: str | None = None, info: str | None = None, before: KnownRule | None = None) -> KnownRule:
    return KnownRule("hkdf-sha256", salt, info, before=before)


_FASTMCP = "FastMCP's own store (fastmcp/server/auth/jwt_issuer.py, oauth_proxy.py)"
_FASTMCP_STORAGE = "fastmcp-storage-encryption-key"
_PHOENIX_SALT = "phoenix-database-encryption-a5d354120d50240ac80b74f56d09b363"

PACKAGES: tuple[tuple[KnownRule, str], ...] = (
    (
        _hkdf("django-fernet-fields-hkdf-salt", "django-fernet-fields"),
        "django-fernet-fields (fernet_fields/hkdf.py), its forks and djfernet from 0.8 on",
    ),
    (_hkdf("djfernet-hkdf-salt", "djfernet"), "djfernet before 0.8 (fernet_fields/hkdf.py)"),
    (_pbkdf2("$SALT_KEY", 100_000), "django-fernet-encrypted-fields (encrypted_fields/fields.py)"),
    (
        KnownRule("pbkdf2-sha256", iterations=100_000, own_salt=True),
        "django-fernet-encrypted-fields with SALT_KEY = SECRET_KEY (encrypted_fields/fields.py)",
    ),
    (_pbkdf2("$SALT", 1_200_000), "py-key-value (key_value/aio/wrappers/encryption/fernet.py)"),
    (
        _hkdf(_FASTMCP_STORAGE, "Fernet", before=_hkdf("fastmcp-jwt-signing-key", "Fernet")),
        f"{_FASTMCP}, of the client secret",
    ),
    (
        _hkdf(_FASTMCP_STORAGE, "Fernet", before=_pbkdf2("fastmcp-jwt-signing-key", 1_000_000)),
        f"{_FASTMCP}, of a jwt_signing_key that is a text",
    ),
    (_pbkdf2("$SALT", 390_000), "cryptojwt and idpy-oidc (cryptojwt/jwe/fernet.py)"),
    *(
        (_hkdf(info=f"modoboa.cryptutils.{purpose}"), f"Modoboa, {purpose} (modoboa/lib/cryptutils.py)")
        for purpose in ("pdfcredentials", "imap-migration", "session", "generic")
    ),
    (_pbkdf2(_PHOENIX_SALT, 100_000), "early versions of Arize Phoenix (phoenix/server/encryption.py)"),
    (_pbkdf2("open-notebook-credential-v1", 600_000), "open-notebook (open_notebook/utils/encryption.py)"),
    (_pbkdf2("$CRYPT_SALT", 2**20), "Caldera (app/service/file_svc.py)"),
    (_pbkdf2("$FERNET_SALT", 100_000), "OpenAlgo (database/auth_db.py), whose FERNET_SALT is in hexadecimal digits"),
    (_pbkdf2("openalgo_static_salt", 100_000), "OpenAlgo without FERNET_SALT (database/auth_db.py)"),
    (
        _pbkdf2("openalgo_static_salt:whatsapp-session", 100_000),
        "OpenAlgo's WhatsApp sessions without FERNET_SALT (database/whatsapp_db.py)",
    ),
    (_pbkdf2("smtp-openalgo-salt", 100_000), "OpenAlgo's mail settings (database/settings_db.py)"),
    (_pbkdf2("telegram-openalgo-salt", 100_000), "OpenAlgo's Telegram bot (database/telegram_db.py)"),
    (_pbkdf2("$SALT", 480_000), "Renku data services (renku_data_services/utils/cryptography.py)"),
    (_pbkdf2("$SALT", 1_000_000), "exports of paperless-ngx (management/commands/mixins.py)"),
)
"""Rules of packages and applications, with the file in which each stands. A `$NAME` is any salt that is at hand."""


@cache
def known_rules() -> dict[KnownRule, list[Use]]:
    """Every rule that is known, with its users: of each kind without parameters, of each preset, of each package."""
    found: dict[KnownRule, list[Use]] = {
        KnownRule(kind): [] for kind in KINDS if kind not in {"pbkdf2-sha256", "hkdf-sha256"}
    }
    for name in preset_names():
        preset = load_preset(name)
        for key_set, keys in preset.keys.items():
            for rule, variable in _rules_of(keys):
                uses = found.setdefault(rule, [])
                if (name, key_set) not in {(use.app, use.key_set) for use in uses}:
                    uses.append(Use(preset.title, name, key_set, variable))
    for rule, words in PACKAGES:
        found.setdefault(rule, []).append(Use(words))
    return found


def _rules_of(keys: KeySet) -> Iterator[tuple[KnownRule, str]]:
    """The rules of a key set, each with the variable of its secret."""
    for _, _, source in keys.sources():
        yield rule_of(source), source.variable or ""


def rule_of(source: KeySource) -> KnownRule:
    """The rule of *source*."""
    if isinstance(salt := source.salt, SaltColumn):
        column, form = salt.column, str(salt.form)
        return KnownRule(source.derive, None, source.info, source.iterations, column=column, form=form)
    own = source.salt_variable is not None and source.salt_variable == source.variable
    return KnownRule(source.derive, None if own else salt, source.info, source.iterations, own)
