"""`from` on real databases, through the command line: cells of other packages become tokens while a run rotates."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet

from keyring_core import Keyring
from keyring_core.tokens import parse_token
from tests.conftest import Cli, Ran
from tests.databases import Database
from tests.fakes import token
from tests.keyring_core.legacy.known_cells import BY_NAME, cells_of, environ_of
from tests.keys import make_key
from tests.stores.tokens import problems, report

pytestmark = [pytest.mark.database, pytest.mark.filterwarnings("ignore::keyring_core.KeyConfigWarning")]

KEYRING = Keyring(make_key("new"), previous=[make_key("old"), make_key("older")])
SECRET = "correct horse battery staple 99"
STOCK = Fernet(base64.urlsafe_b64encode(hashlib.sha256(SECRET.encode()).digest()))
FROM = {"package": "sqlalchemy-utils", "engine": "fernet", "secret": "$OLD_SECRET"}
ISSUED_AT = 1_500_000_000


def foreign(text: str) -> str:
    """What sqlalchemy-utils writes with its Fernet engine; stock cryptography makes the same."""
    return STOCK.encrypt_at_time(text.encode(), ISSUED_AT).decode()


@pytest.fixture
def command(database: Database, cli: Cli, environ: dict[str, str], tmp_path: Path) -> Callable[..., Ran]:
    """A command on creds.token with `from`; nothing of a secret or a cell is ever shown."""

    def run(
        name: str,
        *options: str,
        source: Mapping[str, Any] = FROM,
        secrets: Mapping[str, str] | None = None,
        more: str = "",
    ) -> Ran:
        config = tmp_path / "rotation.toml"
        settings = ", ".join(f"{key} = {json.dumps(value)}" for key, value in source.items())
        config.write_text(
            f'[[target]]\nurl = "{database.url}"\ntable = "creds"\ncolumns = ["token"]\nfrom = {{ {settings} }}\n{more}'
        )
        secrets = {"OLD_SECRET": SECRET} if secrets is None else secrets
        ran = cli(name, "--config", str(config), *options, environ=environ | dict(secrets))
        assert not [text for text in (SECRET, SECRET[8:20], "gAAAAA", "hunter2") if text in ran.out + ran.err]
        return ran

    return run


BINARY = {"sqlite": "BLOB", "postgresql": "BYTEA", "mariadb": "BLOB"}
PACKAGES = [
    ("sqlite", "django-encrypted-model-fields 0.6.5"),
    ("sqlite", "sqlalchemy-utils 0.43.0 Fernet in bytes"),
    ("postgresql", "djfernet 0.8.1 with a prefix"),
    ("postgresql", "django-cryptography-5 2.0.3"),
    ("mariadb", "sqlalchemy-utils 0.43.0 AES-GCM"),
    ("mariadb", "django-cryptography 1.1"),
]


@pytest.mark.some(2)
@pytest.mark.parametrize(("database", "name"), PACKAGES, indirect=["database"])
def test_a_column_of_a_package_becomes_tokens(database: Database, command: Callable[..., Ran], name: str) -> None:
    """Of text and of bytes: each cell opens to what the package reads. Its bytes are those that real packages wrote."""
    case = BY_NAME[name]
    cells, plaintexts = zip(*cells_of(case), strict=True)
    database.make_creds(cells, BINARY[database.kind] if isinstance(cells[0], bytes) else "TEXT")
    environ = {key: value if isinstance(value, str) else "\n".join(value) for key, value in environ_of(case).items()}
    source = {"package": case["package"], "secret": "$OLD_SECRET", **case["options"]}

    looked = command("status", "--json", source=source, secrets=environ)
    ran = command("run", "--json", source=source, secrets=environ)
    again = command("run", "--json", source=source, secrets=environ)

    number = len(cells)
    assert (looked.code, report(looked)["to_rotate"], report(looked)["taken_over"]) == (1, number, number)
    assert (ran.code, report(ran)["rotated"], report(ran)["taken_over"]) == (0, number, number)
    assert (again.code, report(again)["current"], report(again)["taken_over"]) == (0, number, 0)
    after = [cell if isinstance(cell, str) else bytes(cell) for _, cell in sorted(database.column().items())]
    assert tuple(map(KEYRING.decrypt_bytes, after)) == plaintexts


def test_every_cell_of_a_mixed_column_is_right(database: Database, command: Callable[..., Ran]) -> None:
    """Own tokens under new and old keys, foreign ones, plaintext, NULL, empty, and what nobody opens."""
    stay = ["hunter2", token("nobody"), foreign("cut")[:60], base64.b64encode(foreign("b").encode()).decode()]
    moving = [token("old", "a"), foreign("b"), token("older", "c"), foreign("")]
    cells = [token("new", "current"), *moving, *stay, None, "", foreign("z")]
    database.make_creds(cells)

    looked = command("status", "--json")
    ran = command("run", "--json")
    after = database.column()
    again = command("run", "--json")

    assert (report(looked)["to_rotate"], report(looked)["taken_over"], report(looked)["samples"]) == (5, 3, [])
    found = report(ran)
    assert (ran.code, found["rotated"], found["taken_over"], found["current"]) == (1, 5, 3, 1)
    assert (found["plaintext"], found["unreadable"], found["empty"], found["null"]) == (1, 3, 1, 1)
    assert [KEYRING.decrypt(after[row]) for row in (1, 2, 3, 4, 5, 12)] == ["current", "a", "b", "c", "", "z"]
    assert [after[row] for row in range(6, 12)] == [*stay, None, ""]
    assert {key["id"] for key, _ in problems(ran)} == {6, 7, 8, 9}
    assert (again.code, report(again)["rotated"], report(again)["current"]) == (1, 0, 6)
    assert database.column() == after
    # The time is that of the cell.
    assert {parse_token(after[row]).timestamp for row in (3, 5, 12)} == {ISSUED_AT}


@pytest.mark.some(2)
@pytest.mark.parametrize("number", [1, 30])
@pytest.mark.parametrize("wrong", [{"OLD_SECRET": "another long secret 1234"}, "package"], ids=["secret", "package"])
def test_a_wrong_secret_stops_before_the_first_write(
    database: Database, command: Callable[..., Ran], wrong: Any, number: int
) -> None:
    """Nothing is written, not even the token under an older key beside; the message says what to correct."""
    cells = [*(foreign(str(row)) for row in range(number)), *([token("old")] if number > 1 else [])]
    database.make_creds(cells)
    source = FROM if wrong != "package" else {"package": "django-fernet-fields-v2", "secret": "$OLD_SECRET"}
    secrets = {"OLD_SECRET": SECRET} if wrong == "package" else wrong

    ran = command("run", "--json", source=source, secrets=secrets)

    assert (ran.code, report(ran)["rotated"], sorted(database.column().values())) == (1, 0, sorted(cells))
    assert f"{number} of its first {len(cells)} cells cannot be read" in report(ran)["stopped"]
    assert f"cells of {source['package']}" in report(ran)["stopped"]
    assert "secret $OLD_SECRET. Correct the package or the secret" in report(ran)["stopped"]


@pytest.mark.parametrize("name", ["run --dry-run", "status"])
def test_a_look_warns_of_a_wrong_secret(database: Database, command: Callable[..., Ran], name: str) -> None:
    """As the run would say it, which would write nothing; the rows are listed all the same."""
    database.make_creds([*(foreign(str(row)) for row in range(5)), token("old")])

    ran = command(*name.split(), "--json", secrets={"OLD_SECRET": "another long secret 1234"})

    [warning] = report(ran)["warnings"]
    assert (ran.code, len(problems(ran))) == (1, 5)
    assert "5 of its 6 cells cannot be read" in warning
    assert "secret $OLD_SECRET. Correct the package or the secret" in warning


@pytest.mark.parametrize("name", ["run", "status", "adopt"])
def test_a_missing_secret_is_named(database: Database, command: Callable[..., Ran], name: str) -> None:
    """With its target, and before anything is read."""
    database.make_creds([foreign("a"), token("old")])
    before = database.column()

    ran = command(name, secrets={})

    assert (ran.code, database.column()) == (2, before)
    assert "creds.token, from: $OLD_SECRET: not set" in ran.err


def test_a_check_without_the_secret_is_unknown(database: Database, command: Callable[..., Ran]) -> None:
    """It never counts as OK; with the secret, cells of the package are work."""
    database.make_creds([foreign("a")])

    without, with_it = command("check", "--json", secrets={}), command("check", "--json")

    assert without.code == 3
    assert "creds.token, from: $OLD_SECRET: not set" in without.out
    assert with_it.code == 1
    assert "1 cell of another package" in with_it.out
    assert command("run").code == 0
    assert command("check").code == 0


def test_a_narrow_column_is_named_first(database: Database, command: Callable[..., Ran]) -> None:
    """AES-GCM cells are shorter than tokens: their longest plaintext decides, and the cell's own length does not."""
    name = "sqlalchemy-utils 0.43.0 AES-GCM"
    cells = [cell for cell, _ in cells_of(BY_NAME[name]) if len(cell) < 100]
    environ = environ_of(BY_NAME[name])
    database.make_creds(cells, "VARCHAR(119)")
    source = {"package": "sqlalchemy-utils", "secret": "$OLD_SECRET", "engine": "aes-gcm"}

    ran = command("run", source=source, secrets=environ)

    if database.kind == "sqlite":
        assert ran.code == 0
        return
    assert (ran.code, sorted(database.column().values())) == (2, sorted(cells))
    assert "creds.token: the column holds 119 characters" in ran.err
    database.execute("DROP TABLE creds")
    database.make_creds(cells, "VARCHAR(140)")
    assert command("run", source=source, secrets=environ).code == 0


def test_tokens_are_bound_and_companions_are_set(database: Database, command: Callable[..., Ran]) -> None:
    """With a context; and a column that changes with the key gets its value in the same statement."""
    database.make_creds([foreign("a"), token("old", "b")])

    ran = command("run", "--json", more='context = "creds.token"\nset = { note = "primary-key-id" }\n')

    strict = Keyring(make_key("new")).bind("creds.token")
    assert (ran.code, report(ran)["rotated"], report(ran)["taken_over"]) == (0, 2, 1)
    assert [strict.decrypt(cell) for _, cell in sorted(database.column().items())] == ["a", "b"]
    assert set(database.column("creds", "note").values()) == {make_key("new").id}


@pytest.mark.usefixtures("sending")
@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
@pytest.mark.parametrize("has_secret", [True, False])
def test_workers_read_the_secret_themselves(
    database: Database,
    command: Callable[..., Ran],
    environ: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    has_secret: bool,
) -> None:
    """From their own environment: no secret is sent. A worker that has none names the variable."""
    for name, value in (environ | ({"OLD_SECRET": SECRET} if has_secret else {})).items():
        monkeypatch.setenv(name, value)
    database.make_creds([*map(foreign, map(str, range(40))), token("old", "40")])

    ran = command("run", "--json", "--workers", "3")

    if has_secret:
        assert (ran.code, report(ran)["rotated"], report(ran)["taken_over"]) == (0, 41, 40)
        assert [KEYRING.decrypt(cell) for _, cell in sorted(database.column().items())] == list(map(str, range(41)))
    else:
        assert ran.code == 2
        assert "creds.token, from: $OLD_SECRET: not set" in ran.document["error"]
        assert "Give every worker the same variables" in ran.document["error"]
        assert KEYRING.needs_rotation(database.column()[41])
