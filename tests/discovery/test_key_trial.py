"""`--try` finds the rule of each application from a cell that its own code wrote, and its entry makes the same key."""

from __future__ import annotations

import base64
import tomllib
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography.fernet import Fernet

from keyring_core import Derivation, KeyConfigWarning, Keyring
from keyring_core.derivation import KINDS
from keyring_core.redaction import get_redactor
from keyring_core.sources import variable_in
from rotation.applications.key_entry import SecretPlace, entry_of
from rotation.applications.key_trial import (
    FittingRule,
    Given,
    Salt,
    StoredCell,
    Trial,
    salts_beside,
    trial_of,
    try_rules,
)
from rotation.applications.known_rules import KnownRule, known_rules, packages, rule_of
from rotation.applications.presets import load_preset, preset_names
from rotation.configuration.key_sets import KeyPlaces, KeySet
from rotation.model.failures import UsageError
from rotation.planning.inner_tokens import find_inner
from rotation.stores.key_cells import StoredToken
from rotation.world.key_rings import KeyRings
from tests.applications.derived_tokens import cells
from tests.keyring_core.test_derivation import cases
from tests.keys import key_text

SECRET = "Tr0ub4dor&3 quux, a test secret"
CELLS = cells()


def name_of(cell: Mapping[str, Any]) -> str:
    return f"{cell['key_set']} {cell['derive']}"


def derived_rules() -> Iterator[tuple[str, str, str]]:
    """Application, key set and kind of each key of a preset that is derived."""
    for name in preset_names():
        for key_set, keys in load_preset(name).keys.items():
            yield from ((name, key_set, source.derive) for _, _, source in keys.sources() if source.derive != "raw")


def variables_of(cell: Mapping[str, Any]) -> dict[str, str]:
    """The variables of the environment for *cell*: its salt is where the preset looks for it."""
    found = {"THE_SECRET": cell["secret"], **cell.get("variables", {})}
    if "salt" in cell:
        salts = [
            variable_in(source.salt)
            for keys in (load_preset(cell["app"]).keys.values() if cell["app"] in preset_names() else ())
            for _, _, source in keys.sources()
            if isinstance(source.salt, str)
        ]
        found |= dict.fromkeys(filter(None, salts), cell["salt"]) or {"SALT_KEY": cell["salt"]}
    return found


def tried(cell: Mapping[str, Any], **given: Any) -> Trial:
    """The trial of a cell of the file, with what stands beside it."""
    salts = salts_beside(cell.get("beside", {}))
    return try_rules(
        trial_of(cell["secret"], StoredCell(cell["cell"], "a cell", salts), variables_of(cell), Given(**given)), "S"
    )


def _no_cell(*_: object) -> str:
    raise AssertionError("no key of an entry is in a cell")


def opens(entry: str, value: str, environ: Mapping[str, str]) -> bool:
    """True if the keys of *entry*, read as rotation.toml's are, open the token in *value*."""
    [(name, keys)] = tomllib.loads(entry)["keys"].items()
    sets = {name: msgspec.convert(keys, KeySet)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", KeyConfigWarning)
        return bool(find_inner([KeyRings(KeyPlaces(name, sets), environ, _no_cell).keyring()], value).under)


def test_every_derived_preset_has_a_cell_of_its_own_code() -> None:
    """A new preset whose keys are derived brings a cell that its application wrote, with a secret made for it."""
    held = {(cell["app"], cell["key_set"], cell["derive"]) for cell in CELLS}

    assert set(derived_rules()) <= held


@pytest.mark.some(2)
@pytest.mark.parametrize("cell", CELLS, ids=name_of)
def test_the_rule_of_an_application_is_found_from_its_own_token(cell: dict[str, Any]) -> None:
    """The rule is the preset's, the preset is named, and the entry to paste opens the token."""
    trial = tried(cell)

    assert cell["derive"] in {fit.candidate.rule.derive for fit in trial.fits}
    uses = {(use.app, use.key_set) for fit in trial.fits for use in fit.candidate.uses}
    known = (cell["app"], cell["key_set"])
    assert known in uses or (*known, cell["derive"]) not in derived_rules()
    for fit in trial.fits:
        made = entry_of(fit, trial.cell, SecretPlace("THE_SECRET"))
        assert cell["secret"] not in made.text
        if "command" not in made.text and "column" not in made.text:
            assert opens(made.text, cell["cell"], variables_of(cell)), made.text


def stock(secret: str, rule: Derivation) -> str:
    return rule.key(secret, allow_weak=True).fernet.encrypt(b"x").decode()


def only(trial: Trial) -> FittingRule:
    [fit] = trial.fits
    return fit


@pytest.mark.some(2)
@pytest.mark.parametrize("rule", [rule for rule, _ in packages()], ids=[words for _, words in packages()])
def test_the_rule_of_a_package_is_found(rule: KnownRule) -> None:
    """Each known package is named; a salt of a variable is at hand if that is set."""
    first = SECRET
    if rule.before:
        before = Derivation(rule.before.derive, rule.before.salt, rule.before.info, rule.before.iterations)
        first = before.key(SECRET).reveal()
    free = variable_in(rule.salt or "")
    salt = SECRET if rule.own_salt else "a salt, made up" if free else rule.salt
    token = stock(first, Derivation(rule.derive, salt, rule.info, rule.iterations))

    trial = try_rules(trial_of(SECRET, StoredCell(token, "a cell"), {free: str(salt)} if free else {}), "S")

    words = {words for each, words in packages() if each == rule}
    assert words <= {use.words for fit in trial.fits for use in fit.candidate.uses}
    assert only(trial).candidate.rule.iterations == rule.iterations


@pytest.mark.parametrize("case", cases("derivations.json"), ids=lambda case: case["made_by"])
def test_the_rule_is_found_from_a_token_of_each_package(case: dict[str, Any]) -> None:
    """The known answers of real packages are found, with the salt at hand if it is no known one."""
    salts = [Salt(case["salt"], "--salt", case["salt"])] if "salt" in case else []

    trial = try_rules(trial_of(case["secret"], StoredCell(case["token"], "a cell"), {}, Given(salts)), "S")

    assert case["kind"] in {fit.candidate.rule.derive for fit in trial.fits}


def test_every_kind_is_a_candidate() -> None:
    """Each kind is tried: without parameters, or with those of some application."""
    assert {rule.derive for rule in known_rules()} == set(KINDS)


@pytest.mark.parametrize("name", preset_names())
def test_every_rule_of_every_preset_is_a_candidate(name: str) -> None:
    """A new preset is a new candidate, without code."""
    for key_set, keys in load_preset(name).keys.items():
        for _, _, source in keys.sources():
            assert (name, key_set) in {(use.app, use.key_set) for use in known_rules()[rule_of(source)]}


@pytest.mark.parametrize("kind", ["raw", "raw-unpadded", "hex"])
def test_a_key_that_is_its_own_text_is_found(kind: str) -> None:
    """The application has a Fernet key, in whichever form, and no rule at all."""
    text = key_text("raw one")
    secret = {"raw": text, "raw-unpadded": text[:43], "hex": base64.urlsafe_b64decode(text).hex()}[kind]

    trial = try_rules(trial_of(secret, StoredCell(Fernet(text).encrypt(b"x"), "a cell"), {}), "S")

    assert kind in {fit.candidate.rule.derive for fit in trial.fits}


@pytest.mark.parametrize(
    ("given", "without"),
    [
        (f"{SECRET}\n", "the blanks around it"),
        (f"  {SECRET}", "the blanks around it"),
        (f'"{SECRET}"', "the quotes around it"),
        (f"'{SECRET}'\n", "the blanks and quotes around it"),
    ],
)
def test_what_does_not_belong_to_the_secret_is_taken_off(given: str, without: str) -> None:
    """A newline, blanks or quotes around the secret are named, once they are what kept it from fitting."""
    token = stock(SECRET, Derivation("sha256"))

    assert only(try_rules(trial_of(given, StoredCell(token, "a cell"), {}), "S")).without == without
    assert (
        only(try_rules(trial_of(given, StoredCell(stock(given, Derivation("sha256")), "a cell"), {}), "S")).without
        == ""
    )


def test_the_time_of_a_trial_is_that_of_each_form_of_the_secret() -> None:
    """With blanks around it, each rule is tried twice; with blanks and quotes three times."""
    cell = StoredCell(stock(SECRET, Derivation("sha256")), "a cell")
    once, twice, thrice = (trial_of(text, cell, {}).cost for text in (SECRET, f"{SECRET} ", f"'{SECRET}'\n"))

    assert (twice, thrice) == (2 * once, 3 * once)


def test_a_secret_and_a_salt_that_are_only_tried_are_masked() -> None:
    """From the preparation on: in each form of the secret, and whether any rule fits."""
    secret, salt = "quux, a test secret in plain words", "xyzzy, a test salt in plain words"
    said = f"with {secret}, and with {salt}"
    assert get_redactor().redact(said) == said
    trial_of(f'"{secret}"', StoredCell(stock(SECRET, Derivation("sha256")), "a cell"), {"FASTMCP_SALT": salt})

    assert not any(text in str(get_redactor().redact(said)) for text in (secret, salt))


def test_the_same_key_by_several_rules_is_listed_once_for_each() -> None:
    """A secret of 32 characters makes the same key by four rules."""
    secret = "9f3a1c0e5b7d2486aa17c3e0d95b6f42"

    trial = try_rules(trial_of(secret, StoredCell(stock(secret, Derivation("text32")), "a cell"), {}), "S")

    kinds = [fit.candidate.rule.derive for fit in trial.fits]
    assert sorted(kinds) == ["text32", "text32-doubled", "text32-first", "text32-zeros"]
    assert len({fit.key_id for fit in trial.fits}) == 1

    cell = StoredCell(stock(secret, Derivation("text32")), "a cell", table="user_creds", column="password")
    of_heat = try_rules(trial_of(secret, cell, {}), "S").fits[0]
    assert of_heat.candidate.rule.derive == "text32-doubled"


def test_the_column_of_the_cell_decides_between_applications() -> None:
    """Of all applications with the same rule, the one whose column it is comes first, and alone is named."""
    token = stock(SECRET, Derivation("sha256"))

    trial = try_rules(
        trial_of(SECRET, StoredCell(token, "a cell", table="public.data_sources", column="encrypted_options"), {}), "S"
    )

    made = entry_of(trial.fits[0], trial.cell, SecretPlace())
    assert [use.app for use in made.uses] == ["redash"]
    assert made.text == '[keys.redash]\nprimary = { secret = "$REDASH_SECRET_KEY", derive = "sha256" }\n'


def test_given_parameters_are_tried_with_the_known_ones() -> None:
    """Info, iterations and salt of the user are combined with each other and with what is known."""
    cases: list[tuple[Derivation, Given]] = [
        (Derivation("hkdf-sha256", info="an info"), Given(info="an info")),
        (Derivation("hkdf-sha256", "an info-hkdf-salt", "an info"), Given(info="an info")),
        (Derivation("pbkdf2-sha256", "salt", iterations=77), Given(iterations=77)),
        (Derivation("pbkdf2-sha256", b"\xff", iterations=77), Given([Salt(b"\xff", "--salt-hex")], iterations=77)),
        (Derivation("hkdf-sha256", "a salt", "djfernet"), Given([Salt("a salt", "--salt", "a salt")])),
    ]

    for rule, given in cases:
        found = try_rules(trial_of(SECRET, StoredCell(stock(SECRET, rule), "a cell"), {}, given), "S").fits
        assert [fit.candidate.rule.derive for fit in found] == [rule.kind]


def test_cheap_rules_are_tried_first_and_nothing_behind_a_fit() -> None:
    """No key of PBKDF2 is made if a quick rule fits; salts of the row come last of all."""
    words: list[str] = []
    cell = StoredCell(stock(SECRET, Derivation("sha256")), "a cell", [Salt("7", "column id", column="id")])

    trial = try_rules(trial_of(SECRET, cell, {}), "S", words.append)

    assert trial.fits
    assert words
    assert not any("pbkdf2" in each for each in words)
    costs = [(candidate.salt is not None and candidate.salt.column is not None) for candidate in trial.candidates]
    assert costs == sorted(costs)


def test_a_guessable_secret_is_found_and_named() -> None:
    """The rule of a public default is found, with whose default it is."""
    with pytest.warns(KeyConfigWarning):
        token = stock("test_key", Derivation("sha256"))

    trial = try_rules(trial_of("test_key", StoredCell(token, "a cell"), {}), "S")

    assert "cognee" in str(only(trial).weakness)


def test_a_token_that_is_bound_to_the_context_is_found() -> None:
    """With the context of its target, a bound token is found, too."""
    bound = Keyring(Derivation("sha256").key(SECRET)).bind("users.api_key").encrypt("x")

    assert only(try_rules(trial_of(SECRET, StoredCell(bound, "a cell", context="users.api_key"), {}), "S")).bound


@pytest.mark.parametrize("cell", ["", "a sentence", "x" * 200, key_text("no token")])
def test_a_cell_without_a_token_is_refused(cell: str) -> None:
    """The message names the kind of the cell, and shows nothing of it."""
    with pytest.raises(UsageError, match="a cell: no Fernet token is in it") as caught:
        trial_of(SECRET, StoredCell(cell, "a cell"), {})

    assert not cell or cell not in str(caught.value)


def test_neither_secret_nor_salt_nor_token_is_in_a_repr() -> None:
    """A traceback with the values of a trial shows none of them."""
    salt = Salt("a secret salt", "--salt", "a secret salt")
    cell = StoredCell(stock(SECRET, Derivation("sha256")), "a cell", [salt])
    trial = try_rules(trial_of(SECRET, cell, {}), "S")

    shown = repr((salt, cell, trial.forms, StoredToken(cell.value, cell.words), Path("x")))
    assert not any(secret in shown for secret in (SECRET, "a secret salt", str(cell.value)))


@pytest.mark.parametrize("kind", ["text32-doubled", "text32-zeros"])
def test_of_two_rules_whose_keys_sign_alike_the_one_that_decrypts_fits(kind: str) -> None:
    """Keys of a secret of 20 characters sign alike by both rules, and only the right one is named."""
    secret = key_text("sign alike")[:20]
    # Under every 256th initialization vector the wrong key finds a padding, too.
    stock = Fernet(Derivation(kind).key(secret).reveal())
    token = stock._encrypt_from_parts(b"sk-live", 1_600_000_000, bytes(16)).decode()

    trial = try_rules(trial_of(secret, StoredCell(token, "a cell"), {}), "S")

    assert {fit.candidate.rule.derive for fit in trial.fits} == {kind}
