"""The rules by which known applications and packages make a key of a secret, as data. Holds no secret.

Every preset brings the rules of its key sets; a package that has no preset stands in packages.toml.
"""

from __future__ import annotations

import tomllib
from functools import cache
from importlib.resources import files
from typing import NamedTuple

from keyring_core.derivation import KINDS
from rotation.applications.presets import load_preset, preset_names
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


def packages() -> list[tuple[KnownRule, str]]:
    """The rules of packages and applications without a preset, each with its user in words, from packages.toml."""
    data = tomllib.loads((files("rotation.applications") / "packages.toml").read_text("utf-8"))
    found = []
    for row in data["package"]:
        words = row.pop("words")
        before = KnownRule(**row.pop("before")) if "before" in row else None
        found.append((KnownRule(**row, before=before), words))
    return found


@cache
def known_rules() -> dict[KnownRule, list[Use]]:
    """Every rule that is known, with its users: of each kind without parameters, of each preset, of each package."""
    found: dict[KnownRule, list[Use]] = {
        KnownRule(kind): [] for kind in KINDS if kind not in {"pbkdf2-sha256", "hkdf-sha256"}
    }
    for name in preset_names():
        preset = load_preset(name)
        for key_set, keys in preset.keys.items():
            for _, _, source in keys.sources():
                uses = found.setdefault(rule_of(source), [])
                if (name, key_set) not in {(use.app, use.key_set) for use in uses}:
                    uses.append(Use(preset.title, name, key_set, source.variable or ""))
    for rule, words in packages():
        found.setdefault(rule, []).append(Use(words))
    return found


def rule_of(source: KeySource) -> KnownRule:
    """The rule of *source*."""
    if isinstance(salt := source.salt, SaltColumn):
        column, form = salt.column, str(salt.form)
        return KnownRule(source.derive, None, source.info, source.iterations, column=column, form=form)
    own = source.salt_variable is not None and source.salt_variable == source.variable
    return KnownRule(source.derive, None if own else salt, source.info, source.iterations, own)
