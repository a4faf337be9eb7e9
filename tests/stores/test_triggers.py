"""What triggers and rules do to a write: copy, swallow, change or refuse it."""

from __future__ import annotations

import pytest

from tests.conftest import Cli
from tests.databases import Database
from tests.stores.tokens import make_tokens, problems, report, rotate, secret_names, secrets_of

pytestmark = pytest.mark.database

# What a trigger is to do, by database. On PostgreSQL {0} is a function's body.
PLPGSQL = (
    "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN {0} RETURN NEW; END$$",
    "CREATE TRIGGER guard {1} UPDATE ON creds FOR EACH ROW EXECUTE FUNCTION f()",
)


def make_trigger(database: Database, *, sqlite: str, postgresql: tuple[str, str], mariadb: tuple[str, str]) -> None:
    """A trigger of the name guard on UPDATE of creds; statements and the time at which they run."""
    if database.kind == "sqlite":
        database.execute(f"CREATE TRIGGER guard {sqlite}")
    elif database.kind == "postgresql":
        body, when = postgresql
        database.execute(*(part.format(body, when) for part in PLPGSQL))
    else:
        body, when = mariadb
        database.execute(f"CREATE TRIGGER guard {when} UPDATE ON creds FOR EACH ROW {body}")


def test_a_trigger_that_copies_rows_is_warned_of(database: Database, cli: Cli) -> None:
    """D24: the audit copy keeps the old token, and the run says that it may."""
    database.make_creds(make_tokens(2))
    database.execute("CREATE TABLE audit (id INTEGER, token TEXT)")
    copy = "INSERT INTO audit VALUES (OLD.id, OLD.token)"
    make_trigger(
        database,
        sqlite=f"AFTER UPDATE ON creds BEGIN {copy}; END",
        postgresql=(f"{copy};", "AFTER"),
        mariadb=(copy, "AFTER"),
    )

    ran = rotate(cli, database)

    assert (ran.code, report(ran)["rotated"]) == (0, 2)
    assert report(ran)["warnings"] == [
        "creds.token: trigger guard acts on UPDATE: if it copies rows, old tokens live on there"
    ]
    assert secrets_of(database.column("audit").values(), "old") == secret_names(2)


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_other_triggers_are_not_warned_of(database: Database, cli: Cli) -> None:
    """D24: a trigger on INSERT does not matter, even if it updates something."""
    database.make_creds(make_tokens(1))
    database.execute("CREATE TRIGGER added AFTER INSERT ON creds BEGIN UPDATE creds SET note = 'x'; END")

    assert report(rotate(cli, database))["warnings"] == []


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_a_trigger_on_another_column_is_not_warned_of(database: Database, cli: Cli) -> None:
    """D24: nor is one on UPDATE OF another column, nor one that is switched off."""
    database.make_creds(make_tokens(1))
    database.execute(
        "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
        "CREATE TRIGGER other BEFORE UPDATE OF note ON creds FOR EACH ROW EXECUTE FUNCTION f()",
        "CREATE TRIGGER off BEFORE UPDATE ON creds FOR EACH ROW EXECUTE FUNCTION f()",
        "ALTER TABLE creds DISABLE TRIGGER off",
    )

    assert report(rotate(cli, database))["warnings"] == []


def keep_row_two(database: Database) -> None:
    """A trigger that quietly keeps the old value of row 2."""
    make_trigger(
        database,
        sqlite="BEFORE UPDATE ON creds WHEN OLD.id = 2 BEGIN SELECT RAISE(IGNORE); END",
        postgresql=("IF OLD.id = 2 THEN RETURN NULL; END IF;", "BEFORE"),
        mariadb=("SET NEW.token = IF(OLD.id = 2, OLD.token, NEW.token)", "BEFORE"),
    )


@pytest.mark.some(4)
@pytest.mark.parametrize("batch", ["1", "2", "1000"])
def test_a_write_that_is_swallowed_is_reported(database: Database, cli: Cli, batch: str) -> None:
    """D25: a trigger that keeps the old value makes the row not-written: once, bounded, exit 1."""
    database.make_creds(make_tokens(3))
    keep_row_two(database)

    ran = rotate(cli, database, "--batch-size", batch)

    assert (ran.code, report(ran)["rotated"]) == (1, 2)
    assert problems(ran) == [({"id": 2}, "not-written")]
    stored = database.column()
    assert secrets_of([stored[1], stored[3]]) == ["secret 0", "secret 2"]
    assert secrets_of([stored[2]], "old") == ["secret 1"]


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_a_rule_that_does_nothing_is_reported(database: Database, cli: Cli) -> None:
    """D25: so does a rule that does nothing instead; it is warned of as well."""
    database.make_creds(make_tokens(2))
    database.execute("CREATE RULE still AS ON UPDATE TO creds DO INSTEAD NOTHING")

    ran = rotate(cli, database)

    assert (ran.code, report(ran)["rotated"]) == (1, 0)
    assert [category for _, category in problems(ran)] == ["not-written"] * 2
    assert "rule still acts on UPDATE" in report(ran)["warnings"][0]


def test_a_trigger_that_changes_the_token_is_undone(database: Database, cli: Cli) -> None:
    """D25: a token that a trigger would spoil is rolled back, row by row; the others are rotated."""
    database.make_creds(make_tokens(5))
    make_trigger(
        database,
        sqlite="AFTER UPDATE ON creds WHEN NEW.id = 2 AND NEW.token <> lower(NEW.token) "
        "BEGIN UPDATE creds SET token = lower(NEW.token) WHERE id = NEW.id; END",
        postgresql=("IF NEW.id = 2 THEN NEW.token = lower(NEW.token); END IF;", "BEFORE"),
        mariadb=("SET NEW.token = IF(OLD.id = 2, LOWER(NEW.token), NEW.token)", "BEFORE"),
    )

    ran = rotate(cli, database)

    assert (ran.code, report(ran)["rotated"]) == (1, 4)
    assert problems(ran) == [({"id": 2}, "not-written")]
    assert secrets_of([database.column()[2]], "old") == ["secret 1"]


def refuse_row_two(database: Database, how: str) -> None:
    """Has the database refuse row 2 in one of several ways."""
    if how == "trigger":
        make_trigger(
            database,
            sqlite="BEFORE UPDATE ON creds WHEN OLD.id = 2 BEGIN SELECT RAISE(ABORT, 'no'); END",
            postgresql=("IF OLD.id = 2 THEN RAISE EXCEPTION 'no %', NEW.token; END IF;", "BEFORE"),
            mariadb=(
                "IF OLD.id = 2 THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'no'; END IF",
                "BEFORE",
            ),
        )
    else:
        old = database.column()[2]
        _make_again(database, f"CONSTRAINT only_old CHECK (id <> 2 OR token = '{old}')")


def _make_again(database: Database, constraint: str) -> None:
    rows = [{"id": key, "token": token} for key, token in database.column().items()]
    database.execute("DROP TABLE creds", f"CREATE TABLE creds (id INTEGER PRIMARY KEY, token TEXT, {constraint})")
    database.insert("creds", rows)


@pytest.mark.some(3)
@pytest.mark.parametrize(("how", "told"), [("trigger", "a trigger or constraint"), ("check", "only_old")])
@pytest.mark.parametrize("batch", ["1", "3", "1000"])
def test_a_row_that_is_refused_costs_no_other(database: Database, cli: Cli, how: str, told: str, batch: str) -> None:
    """D26: a trigger that raises, or a CHECK, refuses one row; the report names the constraint, without its detail."""
    database.make_creds(make_tokens(7))
    refuse_row_two(database, how)

    ran = rotate(cli, database, "--batch-size", batch)

    (problem,) = report(ran)["problems"]
    assert (ran.code, report(ran)["rotated"]) == (1, 6)
    assert (problem["key"], problem["category"]) == ({"id": 2}, "refused")
    assert told in problem["detail"]
    assert secrets_of([database.column()[2]], "old") == ["secret 1"]


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_what_a_trigger_raises_refuses_one_row(database: Database, cli: Cli) -> None:
    """D26: PostgreSQL has a code of its own for that, which no constraint has."""
    database.make_creds(make_tokens(7))
    refuse_row_two(database, "trigger")

    ran = rotate(cli, database)

    assert (ran.code, report(ran)["rotated"], problems(ran)) == (1, 6, [({"id": 2}, "refused")])


@pytest.mark.parametrize("database", ["mariadb"], indirect=True)
@pytest.mark.parametrize("engine", ["MyISAM", "Aria", "InnoDB"])
def test_a_trigger_that_nothing_can_undo_is_refused(database: Database, cli: Cli, engine: str) -> None:
    """D25: a trigger changes what is written, and the table's engine cannot roll back: no token is put at stake."""
    if engine == "Aria" and database.is_mysql:
        pytest.skip("MySQL has no Aria")
    database.execute(f"CREATE TABLE creds (id INTEGER PRIMARY KEY, token TEXT) ENGINE={engine}")
    database.insert("creds", [{"id": n, "token": token} for n, token in enumerate(make_tokens(3))])
    database.execute("CREATE TRIGGER guard BEFORE UPDATE ON creds FOR EACH ROW SET NEW.token = 'gone'")

    ran = rotate(cli, database)

    assert ran.code == (1 if engine == "InnoDB" else 2)
    assert engine == "InnoDB" or f"{engine} could not undo" in ran.err
    assert secrets_of(database.column().values(), "old") == secret_names(3)


@pytest.mark.parametrize("database", ["mariadb"], indirect=True)
def test_a_table_without_transactions_is_served(database: Database, cli: Cli) -> None:
    """D26: a batch that is refused half-way stays half done there; all of it is counted once, and reported once."""
    database.execute("CREATE TABLE creds (id INTEGER PRIMARY KEY, token VARCHAR(300)) ENGINE=MyISAM")
    database.insert("creds", [{"id": n, "token": token} for n, token in enumerate(make_tokens(20))])
    database.execute(f"ALTER TABLE creds ADD CONSTRAINT never CHECK (id <> 7 OR token = '{database.column()[7]}')")

    ran = rotate(cli, database)

    assert (ran.code, report(ran)["rotated"], problems(ran)) == (1, 19, [({"id": 7}, "refused")])
    stored = database.column()
    assert secrets_of([stored.pop(7)], "old") == ["secret 7"]
    assert sorted(secrets_of(stored.values())) == sorted(set(secret_names(20)) - {"secret 7"})
