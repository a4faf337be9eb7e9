"""What others write during a run is seen, or a whole pass looks at everything."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from cryptography.fernet import Fernet

from keyring_core import Keyring
from rotation.job.checkpoints import Checkpoints, Reached
from rotation.job.loop import rotate as run_job
from rotation.job.options import LocalOptions, RunOptions
from rotation.job.passes import MAX_PASSES
from rotation.model.target import Target
from rotation.planning.planner import Planner
from rotation.stores.change_tracker import Changed, Doubt, Unknown
from rotation.stores.opened_table import Watch
from rotation.stores.postgresql import change_tracker as postgresql_others
from rotation.stores.store import Store
from tests.chaos.server import Server, own_postgres
from tests.conftest import Cli
from tests.databases import Database, open_database
from tests.fakes import Notes, Silence
from tests.keys import key_text
from tests.stores.pgbouncer import pooled
from tests.stores.tokens import ISSUED_AT, make_token, make_tokens, report, rotate

pytestmark = pytest.mark.database

ROWS, HALF = 20, 10
SAME = -30
"""A row whose token is under the primary key from the start, so that no run writes to it."""
INSERT_SAME = f"INSERT INTO creds VALUES ({SAME}, '{make_token('same', 'new')}')"
LATE = Fernet(key_text("old")).encrypt_at_time(b"late", ISSUED_AT + 1_000_000).decode()
"""A token under the old key, as a service writes it that has no newer one."""

ONE = ["CREATE TABLE creds (id INTEGER PRIMARY KEY, token TEXT)"]
PARTED = [
    "CREATE TABLE creds (id INTEGER PRIMARY KEY, token TEXT) PARTITION BY RANGE (id)",
    "CREATE TABLE low PARTITION OF creds FOR VALUES FROM (-100) TO (1000)",
    "CREATE TABLE high PARTITION OF creds FOR VALUES FROM (1000) TO (2000)",
]
APART = "CREATE TABLE spare (id INTEGER PRIMARY KEY, token TEXT)"
NOTHING = "CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$"
PUT_BACK = (
    "CREATE FUNCTION put_back() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.token := OLD.token; RETURN NEW; END $$"
)
ON_INSERT = "CREATE TRIGGER on_insert BEFORE INSERT ON creds FOR EACH ROW EXECUTE FUNCTION nothing()"
ON_UPDATE = "CREATE TRIGGER on_update BEFORE UPDATE ON creds FOR EACH ROW EXECUTE FUNCTION put_back()"
DISABLE, ENABLE = (f"ALTER TABLE creds {how} TRIGGER on_update" for how in ("DISABLE", "ENABLE"))
DRAW = "SELECT pg_current_xact_id()"
"""Draws the number of a transaction."""
WRITE_BACK = "UPDATE creds SET token = :late WHERE id = 3"


@pytest.fixture(params=["direct", pytest.param("pgbouncer", marks=pytest.mark.long)])
def way(request: pytest.FixtureRequest) -> str:
    """How the job reaches the server."""
    return str(request.param)


@contextmanager
def by_way(database: Database, way: str) -> Iterator[Database]:
    """*database*, as the job reaches it."""
    with ExitStack() as ending:
        yield ending.enter_context(pooled(database)) if way == "pgbouncer" else database


@pytest.fixture
def postgres(way: str, tmp_path: Path) -> Iterator[Database]:
    """A PostgreSQL database, with and without a pooler before it."""
    with open_database("postgresql", tmp_path) as database, by_way(database, way) as reached:
        yield reached


@dataclass
class Run:
    """A run's first pass, step by step, so that others can write at any place in it."""

    database: Database
    keyring: Keyring
    store: Store
    watch: Watch | None = None

    def begin(self) -> Watch:
        """Begins to watch."""
        self.watch = self.store.watch()
        assert self.watch.name
        return self.watch

    def take(self, after: int | None, upto: int | None) -> None:
        """Rotates the rows behind *after*, up to and with *upto*."""
        assert self.watch
        low, high = ((key,) if key is not None else None for key in (after, upto))
        plan = Planner(self.keyring).plan(self.store.read(low, high, 1000))
        written = self.store.write(plan.swaps, plan.blocks)
        assert not written.lost
        self.watch.wrote(written.transactions)

    def changed(self) -> Changed | Unknown:
        """What the watch says; it has missed no token under an older key."""
        assert self.watch
        found = self.watch.changed()
        if isinstance(found, Changed):
            assert not found.batch.blocks
            assert self.left() <= seen(found)
        return found

    def left(self) -> set[Any]:
        """The rows that hold a token under an older key."""
        return {key for key, token in self.database.column().items() if token and self.keyring.needs_rotation(token)}


def seen(found: Changed | Unknown) -> set[Any]:
    """The keys of the rows that others wrote."""
    assert isinstance(found, Changed), found
    return {key for (key,) in found.batch.keys}


def why(found: Changed | Unknown) -> str:
    """Why it is not known what others wrote."""
    assert isinstance(found, Unknown), found
    return found.words


Start = Callable[..., Run]


@pytest.fixture
def start(keyring: Keyring) -> Iterator[Start]:
    """Makes the table, and opens it."""
    with ExitStack() as ending:

        def begin(database: Database, create: Sequence[str] = ONE, **more: Any) -> Run:
            apart(database, *create)
            rows: list[dict[str, object]] = [{"id": n, "token": make_token(f"{n}")} for n in range(1, ROWS + 1)]
            database.insert("creds", rows)
            return Run(database, keyring, ending.enter_context(closing(open_store(database.url, **more))))

        yield begin


def open_store(url: str, **more: Any) -> Store:
    """The target, opened for a run."""
    return Store(Target(url, "creds", "token", "creds", **more), read_only=False, sleep=lambda _: None)


def apart(database: Database, *statements: str) -> None:
    """Each of *statements* in a transaction of its own, or in none if it can be in none."""
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for statement in statements:
            connection.execute(sa.text(statement), {"late": LATE} if ":late" in statement else {})


@contextmanager
def before_first(words: str, act: Callable[[], None]) -> Iterator[None]:
    """*act* comes just before the first statement of this process that has *words* in it."""
    done: list[str] = []

    def look(connection: Any, cursor: Any, statement: str, *_: object) -> None:
        if words in statement and not done:
            done.append(statement)
            act()

    sa.event.listen(sa.Engine, "before_cursor_execute", look)
    try:
        yield
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", look)
    assert done


SEEN: dict[str, tuple[list[str], set[int]]] = {
    "nobody": ([], set()),
    "an old token written back behind the run": ([WRITE_BACK], {3}),
    "an old token written back ahead of the run": (["UPDATE creds SET token = :late WHERE id = 15"], set()),
    "a row inserted behind the run": (["INSERT INTO creds VALUES (-1, :late)"], {-1}),
    "a row inserted ahead of the run": (["INSERT INTO creds VALUES (500, :late)"], set()),
    "a row moved behind the run": (["UPDATE creds SET id = -7 WHERE id = 17"], {-7}),
    "a row deleted": (["DELETE FROM creds WHERE id IN (3, 17)"], set()),
    "a cell emptied": (["UPDATE creds SET token = NULL WHERE id = 3"], {3}),
    "a row written as it was": (["UPDATE creds SET token = token WHERE id = 4"], {4}),
    "row locks": (["SELECT id FROM creds FOR UPDATE", "SELECT id FROM creds FOR KEY SHARE"], set()),
    "VACUUM FREEZE": ([WRITE_BACK, "VACUUM (FREEZE) creds"], {3}),
    "ANALYZE": (["ANALYZE creds"], set()),
}


@pytest.mark.some(6)
@pytest.mark.parametrize(("others", "expected"), SEEN.values(), ids=SEEN)
def test_what_others_write_is_seen(postgres: Database, start: Start, others: list[str], expected: set[int]) -> None:
    """Exactly the rows that somebody else wrote and this run did not write after them are read again."""
    run = start(postgres)
    run.begin()
    run.take(None, HALF)
    apart(postgres, *others)
    run.take(HALF, None)

    assert seen(run.changed()) == expected


@pytest.mark.parametrize(("end", "expected"), [("COMMIT", {3, 4, 5}), ("ROLLBACK", set())])
def test_savepoints_are_seen(postgres: Database, start: Start, end: str, expected: set[int]) -> None:
    """A subtransaction has a number of its own; what was rolled back is not there."""
    run = start(postgres)
    run.begin()
    run.take(None, None)
    update = "UPDATE creds SET token = :late WHERE id ="
    script = [f"{update} 3", "SAVEPOINT a", f"{update} 4", "RELEASE a", "SAVEPOINT b", f"{update} 5", "SAVEPOINT c"]
    script += [f"{update} 6", "ROLLBACK TO c", end]
    apart(postgres, "BEGIN", *script)

    assert seen(run.changed()) == expected


@pytest.mark.parametrize("when", ["before it is proved", "after it"])
def test_an_older_transaction_that_commits_late_is_seen(postgres: Database, start: Start, when: str) -> None:
    """It began before this run, and no read of the first pass shows what it wrote."""
    run = start(postgres)
    apart(postgres, INSERT_SAME)
    with postgres.engine.connect() as older:
        older.execute(sa.text(f"UPDATE creds SET token = :late WHERE id = {SAME}"), {"late": LATE})
        older.execute(sa.text("INSERT INTO creds VALUES (-1, :late)"), {"late": LATE})
        apart(postgres, DRAW)
        run.begin()
        run.take(None, None)
        if when == "after it":
            assert -1 not in seen(run.changed())
        older.commit()

        assert seen(run.changed()) == {SAME, -1}


def test_the_counts_are_those_of_the_same_moment(postgres: Database, start: Start) -> None:
    """Cells that hold something, NULLs, and empty texts."""
    run = start(postgres)
    run.begin()
    run.take(None, None)
    values = "(-1, :late), (-2, NULL), (-3, NULL), (-4, ''), (-5, ''), (-6, '')"
    apart(postgres, f"INSERT INTO creds VALUES {values}", "DELETE FROM creds WHERE id = 7")
    found = run.changed()

    assert isinstance(found, Changed)
    assert found.totals == (ROWS - 1 + 4, 2, 3)
    assert found.batch.keys == [(key,) for key in range(-6, 0)]


def test_what_is_read_is_of_the_same_moment_as_the_counts(postgres: Database, start: Start) -> None:
    """What others write between the two statements is for the next look."""
    run = start(postgres)
    run.begin()
    run.take(None, None)
    apart(postgres, WRITE_BACK)
    assert run.watch
    with before_first(
        'ORDER BY "public"."creds"', lambda: apart(postgres, "UPDATE creds SET token = :late WHERE id = 4")
    ):
        found = run.watch.changed()

    assert (seen(found), seen(run.changed())) == ({3}, {3, 4})


def test_what_this_run_writes_after_a_look_is_its_own(postgres: Database, start: Start) -> None:
    """The second look reads nothing again that the run itself has rotated behind the first one."""
    run = start(postgres)
    run.begin()
    run.take(None, None)
    apart(postgres, WRITE_BACK)
    first = seen(run.changed())
    run.take(None, HALF)

    assert (first, seen(run.changed())) == ({3}, set())


def test_a_row_that_moves_to_another_partition_is_seen(postgres: Database, start: Start) -> None:
    """It is inserted there."""
    run = start(postgres, PARTED)
    run.begin()
    run.take(None, HALF)
    apart(postgres, "UPDATE creds SET id = 1500, token = :late WHERE id = 3", "UPDATE creds SET id = -9 WHERE id = 15")
    run.take(HALF, 1000)

    assert seen(run.changed()) == {1500, -9}


@pytest.fixture(scope="module")
def preparing() -> Iterator[Server]:
    """A server with prepared transactions, which are off by default."""
    with own_postgres("max_prepared_transactions=5", "fsync=off") as server:
        yield server


@pytest.mark.xdist_group("preparing")
def test_a_row_that_was_current_before_is_not_read_again(preparing: Server, way: str, start: Start) -> None:
    """Its version is older than this run, if no other transaction of the server is open, and nobody wrote it since."""
    with by_way(preparing.database, way) as database:
        run = start(database, ["DROP TABLE IF EXISTS creds", *ONE])
        apart(database, INSERT_SAME)
        run.begin()
        run.take(None, None)

        assert seen(run.changed()) == set()


@pytest.mark.xdist_group("preparing")
def test_a_prepared_transaction_is_seen(preparing: Server, way: str, start: Start) -> None:
    """It was prepared before this run began, and is committed behind its reads."""
    own = preparing.database
    with by_way(own, way) as database:
        run = start(database, ["DROP TABLE IF EXISTS creds", *ONE])
        script = [f"UPDATE creds SET token = :late WHERE id = {SAME}", "INSERT INTO creds VALUES (-1, :late)"]
        apart(own, INSERT_SAME, "BEGIN", *script, "PREPARE TRANSACTION 'p'", DRAW)
        run.begin()
        run.take(None, None)
        before = seen(run.changed())
        apart(own, "COMMIT PREPARED 'p'")

        assert -1 not in before
        assert seen(run.changed()) == {SAME, -1}


ALTERED: dict[str, tuple[list[str], list[str]]] = {
    "a partition attached": (
        [*PARTED, APART, f"INSERT INTO spare VALUES (2500, '{LATE}')"],
        ["ALTER TABLE creds ATTACH PARTITION spare FOR VALUES FROM (2000) TO (3000)"],
    ),
    "a partition detached": (PARTED, ["ALTER TABLE creds DETACH PARTITION high"]),
    "a child inherited": (
        [*ONE, "CREATE TABLE kid (id INTEGER NOT NULL, token TEXT)", f"INSERT INTO kid VALUES (900, '{LATE}')"],
        ["ALTER TABLE kid INHERIT creds"],
    ),
    "an UPDATE trigger": ([*ONE, PUT_BACK], [ON_UPDATE]),
    # The first trigger alters the table itself.
    "an UPDATE trigger beside another one": ([*ONE, NOTHING, ON_INSERT, PUT_BACK], [ON_UPDATE]),
    "an UPDATE trigger enabled": ([*ONE, PUT_BACK, ON_UPDATE, DISABLE], [ENABLE]),
    "VACUUM FULL": (ONE, [WRITE_BACK, "VACUUM (FULL, FREEZE) creds"]),
    "CLUSTER": (ONE, [WRITE_BACK, "CLUSTER creds USING creds_pkey"]),
    "TRUNCATE": (ONE, ["TRUNCATE creds", "INSERT INTO creds VALUES (1, :late)"]),
    "ALTER TYPE": (ONE, [WRITE_BACK, "ALTER TABLE creds ALTER token TYPE varchar(500) USING token || ''"]),
}


@pytest.mark.some(4)
@pytest.mark.parametrize(("create", "others"), ALTERED.values(), ids=ALTERED)
def test_a_table_that_is_altered_needs_a_whole_pass(
    postgres: Database, start: Start, create: list[str], others: list[str]
) -> None:
    """Old rows come in without a new version, or something writes in this run's own transactions."""
    run = start(postgres, create)
    run.begin()
    run.take(None, None)
    apart(postgres, *others)

    assert run.changed() == Unknown("the table was altered meanwhile", Doubt.ALTERED)


STAGED = "CREATE TABLE creds (id INTEGER PRIMARY KEY, token TEXT, staged TEXT)"
IN_PASSING: dict[str, tuple[list[str], list[str], list[str]]] = {
    "another column takes the name": (
        [STAGED],
        [],
        ["ALTER TABLE creds RENAME token TO gone", "ALTER TABLE creds RENAME staged TO token"],
    ),
    "an UPDATE trigger came and went": (
        [*ONE, NOTHING, ON_INSERT, PUT_BACK],
        [ON_UPDATE],
        ["DROP TRIGGER on_update ON creds"],
    ),
    "an UPDATE trigger was enabled for a while": ([*ONE, PUT_BACK, ON_UPDATE, DISABLE], [ENABLE], [DISABLE]),
    "a child left and came back": (
        [*ONE, "CREATE TABLE kid () INHERITS (creds)", f"INSERT INTO kid VALUES (900, '{LATE}')"],
        ["ALTER TABLE kid NO INHERIT creds"],
        ["ALTER TABLE kid INHERIT creds"],
    ),
    "row security was on for a while": (
        ONE,
        ["ALTER TABLE creds ENABLE ROW LEVEL SECURITY"],
        ["ALTER TABLE creds DISABLE ROW LEVEL SECURITY"],
    ),
    "a partition left and came back": (
        [*PARTED, f"INSERT INTO creds VALUES (1500, '{LATE}')"],
        ["ALTER TABLE creds DETACH PARTITION high"],
        ["ALTER TABLE creds ATTACH PARTITION high FOR VALUES FROM (1000) TO (2000)"],
    ),
}


@pytest.mark.some(3)
@pytest.mark.parametrize(
    ("create", "before", "behind"),
    IN_PASSING.values(),
    ids=IN_PASSING,
)
def test_what_is_altered_in_passing_hides_no_old_token(
    postgres: Database, start: Start, create: list[str], before: list[str], behind: list[str]
) -> None:
    """At the end the table looks as it did at the start: what was passed over is read, or a whole pass is made."""
    run = start(postgres, create)
    if create == [STAGED]:
        apart(postgres, "UPDATE creds SET staged = token")
    run.begin()
    apart(postgres, *before)
    run.take(None, None)
    apart(postgres, *behind)
    found = run.changed()

    assert isinstance(found, Unknown) or seen(found) >= run.left()


def test_a_table_that_is_rewritten_while_it_is_read_hides_no_old_token(postgres: Database, start: Start) -> None:
    """To an older snapshot a table that ALTER TABLE has rewritten looks empty."""
    run = start(postgres)
    run.begin()
    run.take(None, None)
    apart(postgres, WRITE_BACK)
    with before_first(
        "GROUP BY", lambda: apart(postgres, "ALTER TABLE creds ALTER token TYPE varchar(500) USING token || ''")
    ):
        found = run.changed()

    assert isinstance(found, Unknown) or seen(found) == {3}


def test_a_row_that_loses_its_key_is_not_passed_over(postgres: Database, start: Start) -> None:
    """A whole pass counts rows with a NULL in their key, and a witness that reads by keys does not see them."""
    run = start(postgres, ["CREATE TABLE creds (id INTEGER UNIQUE, token TEXT)"], key_columns=("id",))
    run.watch = run.store.watch()
    run.take(None, None)
    apart(postgres, "INSERT INTO creds VALUES (NULL, :late)")

    assert isinstance(run.watch.changed(), Unknown)


UNWATCHED: dict[str, list[str]] = {
    "row security": [
        *ONE,
        "ALTER TABLE creds ENABLE ROW LEVEL SECURITY",
        "CREATE POLICY half ON creds USING (id < 15)",
    ],
    "row security of a partition": [*PARTED, "ALTER TABLE high ENABLE ROW LEVEL SECURITY"],
}


@pytest.mark.parametrize("create", UNWATCHED.values(), ids=UNWATCHED)
def test_some_tables_cannot_be_watched(postgres: Database, start: Start, create: list[str]) -> None:
    """Rows come and go that nobody wrote."""
    assert start(postgres, create).store.watch().name is None


def test_a_trigger_matters_only_to_a_run_that_writes(postgres: Database, start: Start) -> None:
    """It writes in the run's own transactions."""
    watch = start(postgres, [*ONE, PUT_BACK, ON_UPDATE]).store.watch()

    assert isinstance(watch.changed(wrote=False), Changed)
    assert "by a trigger" in why(watch.changed(wrote=True))


def test_rows_under_a_condition_cannot_be_watched(postgres: Database, start: Start) -> None:
    """What stands in another table may decide which rows there are."""
    assert start(postgres, where="id < 1000").store.watch().name is None


def test_a_child_on_another_server_cannot_be_watched(postgres: Database, start: Start) -> None:
    """Its rows have no versions here."""
    url, role = postgres.engine.url, sa.make_url(postgres.url).username
    if not postgres.rows("SELECT FROM pg_available_extensions WHERE name = 'postgres_fdw'"):
        pytest.skip("the server has no postgres_fdw")
    there = f"host '{url.query.get('host') or url.host}', port '{url.port or 5432}', dbname '{url.database}'"
    run = start(
        postgres,
        [
            *ONE,
            APART,
            "CREATE EXTENSION postgres_fdw",
            f"CREATE SERVER there FOREIGN DATA WRAPPER postgres_fdw OPTIONS ({there})",
            f"CREATE USER MAPPING FOR {role} SERVER there OPTIONS (user '{role}', password_required 'false')",
            "CREATE FOREIGN TABLE far () INHERITS (creds) SERVER there OPTIONS (table_name 'spare')",
        ],
    )

    assert run.store.watch().name is None


def test_a_session_that_is_gone_proves_nothing(postgres: Database, start: Start) -> None:
    """A crash, or another server that took over, may have brought old versions back; a pooler hides either."""
    run = start(postgres)
    run.begin()
    run.take(None, None)
    with postgres.engine.connect() as admin:
        sessions = "FROM pg_stat_activity WHERE usename = :user AND datname = current_database()"
        user = {"user": sa.make_url(postgres.url).username}
        assert admin.scalar(sa.text(f"SELECT count(pg_terminate_backend(pid, 5000)) {sessions}"), user)

    assert "the session in which it began is gone" in why(run.changed())


def test_a_later_session_with_the_same_number_proves_nothing(postgres: Database, start: Start) -> None:
    """Systems give numbers of processes out again."""
    run = start(postgres)
    others = run.begin()._others
    assert isinstance(others, postgresql_others.PostgreSQLChangeTracker)
    run.take(None, None)
    others._since -= timedelta(microseconds=1)

    assert "the session in which it began is gone" in why(run.changed())


def test_too_many_transactions_need_a_whole_pass(
    postgres: Database, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond 2**31 an old version would look new, or a new one old."""
    run = start(postgres)
    run.begin()
    run.take(None, None)
    few = run.changed()
    monkeypatch.setattr(postgresql_others, "SPAN", 3)
    apart(postgres, *[DRAW] * 3)

    assert seen(few) == set()
    assert "too many transactions have passed" in why(run.changed())


@pytest.mark.parametrize(("bound", "limit"), [("MOST_ROWS", 3), ("MOST_BYTES", 3 * len(LATE))], ids=["rows", "bytes"])
def test_others_that_wrote_much_need_a_whole_pass(
    postgres: Database, start: Start, monkeypatch: pytest.MonkeyPatch, bound: str, limit: int
) -> None:
    """What is read at the end is held in memory at once."""
    monkeypatch.setattr(postgresql_others, bound, limit)
    run = start(postgres)
    run.begin()
    run.take(None, None)
    apart(postgres, "UPDATE creds SET token = :late WHERE id IN (1, 2, 3)")
    few = run.changed()
    apart(postgres, "UPDATE creds SET token = :late WHERE id = 4")

    assert seen(few) == {1, 2, 3}
    assert why(run.changed()) == "others wrote much meanwhile"


@pytest.mark.parametrize("most", [1000, 0], ids=["by ranges", "one by one"])
def test_this_runs_own_transactions_are_told_apart(
    postgres: Database, start: Start, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    """By ranges of numbers; one by one if others have taken many between them."""
    monkeypatch.setattr(postgresql_others, "MOST_RANGES", most)
    run = start(postgres)
    run.begin()
    for row in range(1, ROWS + 1):
        run.take(row - 1, row)
        apart(postgres, "UPDATE creds SET token = token WHERE id = 3" if row in {7, 15} else DRAW)

    assert seen(run.changed()) == {3}


@pytest.mark.parametrize("most", [1000, 0], ids=["by ranges", "one by one"])
def test_forgotten_transactions_are_read_again(
    postgres: Database, start: Start, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    """Memory is bounded: only the last ones are remembered, and no token is missed for it."""
    monkeypatch.setattr(postgresql_others, "MOST_RANGES", most)
    monkeypatch.setattr(postgresql_others, "MOST_OURS", 4)
    run = start(postgres)
    run.begin()
    for row in range(1, ROWS + 1):
        run.take(row - 1, row)
    again = seen(run.changed())
    apart(postgres, "UPDATE creds SET token = :late WHERE id = 20")

    # From four to eight are remembered.
    assert again == set(range(1, len(again) + 1))
    assert ROWS - 8 <= len(again) <= ROWS - 4
    assert seen(run.changed()) == again | {20}


@pytest.mark.parametrize(("done", "passes"), [(0, 1), (HALF, 2)], ids=["fresh", "resumed"])
def test_a_resumed_run_ends_with_a_whole_pass(
    postgres: Database, start: Start, keyring: Keyring, done: int, passes: int
) -> None:
    """Nobody watched while its first rows were rotated; the whole pass is watched from its start."""
    start(postgres)
    target, notes = Target(postgres.url, "creds", "token", "creds"), Notes()
    if done:
        keyed = replace(target, key_columns=("id",))
        Checkpoints(notes, keyed, keyring.primary.id).note(Reached((done,), done), now=True)
    local = LocalOptions(checkpoints=lambda target, primary: Checkpoints(notes, target, primary))
    store = open_store(postgres.url)
    ended = run_job([target], keyring, lambda _: store, RunOptions(), Silence(), local=local)

    assert (ended.exit_code, ended.targets[0].proof, ended.targets[0].passes) == (0, "versions", passes)
    assert {keyring.needs_rotation(token) for token in postgres.column().values()} == {False}


def behind_the_first_pass(monkeypatch: pytest.MonkeyPatch, act: Callable[[int], None], times: int = 1) -> None:
    """*act* comes between a first pass and its proof, and before each look after that, so many times in all."""
    plain, done = Store.settle, []

    def settle(store: Store) -> None:
        plain(store)
        if len(done) < times:
            done.append(store)
            act(len(done))

    monkeypatch.setattr(Store, "settle", settle)


PROOFS = {"sqlite": "unchanged", "postgresql": "versions", "mariadb": "pass"}


def test_the_report_names_the_proof(database: Database, cli: Cli) -> None:
    """Each database's own, also of a second run, which finds nothing to do."""
    database.make_creds(make_tokens(40))
    found = [report(rotate(cli, database)) for _ in range(2)]

    proof = PROOFS[database.kind]
    assert [(each["proof"], each["rotated"]) for each in found] == [(proof, 40), (proof, 0)]
    assert [each["passes"] for each in found] == [2 if proof == "pass" else 1, 1]


def test_a_run_with_problems_ends_with_a_whole_pass(database: Database, cli: Cli) -> None:
    """So that their list is that of one pass."""
    database.make_creds([*make_tokens(40), "no token"])
    ran = rotate(cli, database)

    assert (ran.code, report(ran)["proof"], report(ran)["passes"]) == (1, PROOFS[database.kind], 2)


def test_a_dry_run_proves_nothing(database: Database, cli: Cli) -> None:
    """It reads once."""
    database.make_creds(make_tokens(40, "new"))

    assert report(rotate(cli, database, "--dry-run"))["proof"] is None


def test_the_counts_after_a_proof_are_those_of_the_table(
    postgres: Database, cli: Cli, keyring: Keyring, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever others wrote meanwhile: as many as the next command counts, all under the primary key."""
    postgres.make_creds(make_tokens(40))
    others = [
        "UPDATE creds SET token = :late WHERE id IN (3, 4)",
        f"UPDATE creds SET token = '{make_token('theirs', 'new')}' WHERE id = 5",
        f"INSERT INTO creds VALUES (-1, :late), (-2, '{make_token('more', 'new')}'), (-3, NULL), (-4, '')",
        "DELETE FROM creds WHERE id IN (6, 7, 8)",
        "UPDATE creds SET token = NULL WHERE id IN (9, 10)",
        "UPDATE creds SET token = '' WHERE id = 11",
    ]
    behind_the_first_pass(monkeypatch, lambda _: apart(postgres, *others))
    ran = rotate(cli, postgres)
    found = report(ran)
    status = cli("status", "--json", "--url", postgres.url, "--table", "creds", "--column", "token")
    [counted] = status.document["targets"]

    assert (ran.code, found["proof"], found["passes"]) == (0, "versions", 1)
    same = ("scanned", "null", "empty", "under", "plaintext", "unreadable", "unsettled")
    assert {name: found[name] for name in same} == {name: counted[name] for name in same}
    assert (found["scanned"], found["null"], found["empty"]) == (38, 3, 2)
    assert found["under"] == {keyring.primary.id: 36}
    assert (found["rotated"], found["current"], found["to_rotate"]) == (36, 0, 0)
    assert found["oldest"] == counted["oldest"] == {keyring.primary.id: ISSUED_AT}


@pytest.mark.parametrize("kind", ["TEXT", "BYTEA"])
@pytest.mark.parametrize("written", [False, True])
def test_blanks_are_no_tokens_after_a_proof(
    postgres: Database, cli: Cli, monkeypatch: pytest.MonkeyPatch, kind: str, *, written: bool
) -> None:
    """A cell of blanks is empty for the proof as it is for a pass, also one that others wrote."""
    cells = [*make_tokens(10), "", " ", "\t\r\n\v\f " * 9]
    postgres.make_creds([cell.encode() if kind == "BYTEA" else cell for cell in cells], kind)
    blank = "UPDATE creds SET token = '  ' WHERE id = 1"
    behind_the_first_pass(monkeypatch, lambda _: apart(postgres, *([blank] if written else [])))

    found = report(rotate(cli, postgres))

    assert found["proof"] == "versions"
    assert (found["scanned"], found["rotated"], found["current"], found["empty"]) == (
        (13, 9, 0, 4) if written else (13, 10, 0, 3)
    )


@pytest.mark.parametrize(
    "under",
    [["old"], ["new"], ["old", "new"]],
    ids="-".join,
)
def test_the_times_of_what_others_wrote_count(
    postgres: Database, cli: Cli, keyring: Keyring, monkeypatch: pytest.MonkeyPatch, under: list[str]
) -> None:
    """Also those of tokens that were rotated after the first pass."""
    postgres.make_creds(make_tokens(40))
    tokens = [Fernet(key_text(key)).encrypt_at_time(b"theirs", ISSUED_AT + 1_000_000).decode() for key in under]
    inserts = [f"INSERT INTO creds VALUES ({-number}, '{token}')" for number, token in enumerate(tokens, 1)]
    behind_the_first_pass(monkeypatch, lambda _: apart(postgres, *inserts))
    found = report(rotate(cli, postgres))

    assert found["proof"] == "versions"
    assert found["oldest"] == {keyring.primary.id: ISSUED_AT}
    assert found["youngest"] == {keyring.primary.id: ISSUED_AT + 1_000_000}
    assert sum(found["ages"].values()) == found["scanned"] == 40 + len(under)


def test_what_cannot_be_read_among_others_rows_is_listed(
    postgres: Database, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a whole pass, which lists everything."""
    postgres.make_creds(make_tokens(40))
    behind_the_first_pass(monkeypatch, lambda _: apart(postgres, "UPDATE creds SET token = 'oops' WHERE id = 3"))
    ran = rotate(cli, postgres)

    assert (ran.code, report(ran)["plaintext"]) == (1, 1)
    # A third one if a transaction of another test was open: then the second may have missed what it wrote.
    assert report(ran)["passes"] in {2, 3}


def test_a_cell_that_nobody_can_read_ends_no_run(postgres: Database, cli: Cli) -> None:
    """While an older transaction is open, each look finds the cell among those that others may have written."""
    postgres.make_creds(make_tokens(40))
    with postgres.engine.connect() as older:
        older.exec_driver_sql(DRAW)
        apart(postgres, "UPDATE creds SET token = 'oops' WHERE id = 3")
        ran = rotate(cli, postgres)
    found = report(ran)

    assert (ran.code, found["plaintext"], found["stopped"], found["proof"]) == (1, 1, None, "pass")


def test_a_service_that_never_stops_ends_the_run(postgres: Database, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each look finds another old token: whole passes take over, and then the run says what is wrong."""
    postgres.make_creds(make_tokens(40))

    behind_the_first_pass(monkeypatch, lambda time: apart(postgres, f"INSERT INTO creds VALUES ({-time}, :late)"), 1000)
    ran = rotate(cli, postgres)
    found = report(ran)

    assert (ran.code, found["proof"], found["passes"]) == (1, None, MAX_PASSES)
    assert "a service encrypts with an older key" in found["stopped"]


JOURNALS = pytest.mark.parametrize("journal", ["delete", "wal"])
SQLITE = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


@SQLITE
@JOURNALS
@pytest.mark.parametrize("case", [("commit", 2), ("rollback", 1)], ids=["commits", "rolls back"])
def test_another_connection_to_the_file(
    database: Database, cli: Cli, monkeypatch: pytest.MonkeyPatch, journal: str, case: tuple[str, int]
) -> None:
    """Only if it commits, a whole pass looks for what it wrote; this run's own commits count for nothing."""
    end, passes = case
    database.make_creds(make_tokens(40))
    database.execute(f"PRAGMA journal_mode = {journal}")

    def write(_time: int) -> None:
        with database.engine.connect() as other:
            other.execute(sa.text(WRITE_BACK), {"late": LATE})
            getattr(other, end)()

    behind_the_first_pass(monkeypatch, write)
    ran = rotate(cli, database, "--batch-size", "7")

    assert (ran.code, report(ran)["proof"], report(ran)["passes"]) == (0, "unchanged", passes)
    assert report(rotate(cli, database))["rotated"] == 0


@SQLITE
@JOURNALS
def test_a_file_that_is_opened_again_needs_a_whole_pass(
    database: Database, keyring: Keyring, start: Start, journal: str
) -> None:
    """A new connection knows nothing of what was committed before it."""
    database.execute(f"PRAGMA journal_mode = {journal}")
    run = start(database)
    run.begin()
    run.take(None, None)
    before = run.changed()
    run.store._access.link.disconnect()

    assert seen(before) == set()
    assert why(run.changed()) == "the file was opened again"


@SQLITE
def test_a_trigger_in_the_file_needs_a_whole_pass(database: Database, cli: Cli) -> None:
    """It may write old tokens, through the run's own connection."""
    database.make_creds(make_tokens(40))
    database.execute("CREATE TRIGGER t AFTER UPDATE ON creds BEGIN UPDATE creds SET note = 'x' WHERE id = OLD.id; END")

    found = report(rotate(cli, database))

    assert (found["proof"], found["passes"]) == ("unchanged", 2)


def test_a_run_through_pgbouncer_is_proved(tmp_path: Path, cli: Cli) -> None:
    """Its transactions may run in any session of the pool, beside those of a service, and of each other."""
    with open_database("postgresql", tmp_path) as database, pooled(database, pool_size=2) as reached:
        database.make_creds(make_tokens(6000))
        stop, service = threading.Event(), sa.create_engine(reached.url)

        def write() -> None:
            while not stop.is_set():
                with service.begin() as connection:
                    connection.exec_driver_sql("UPDATE creds SET note = 'seen' WHERE mod(id, 1000) = 1")

        thread = threading.Thread(target=write)
        thread.start()
        try:
            ran = rotate(cli, reached, "--full-speed")
        finally:
            stop.set()
            thread.join()
            service.dispose()

    assert (ran.code, report(ran)["proof"], report(ran)["rotated"]) == (0, "versions", 6000)
