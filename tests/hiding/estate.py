"""A whole installation for one test: databases, keys, files, and the five commands."""

from __future__ import annotations

import io
import json
import re
import secrets
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import sqlalchemy as sa

from keyring_core import Key, Keyring
from rotation.cli.main import main
from tests.conftest import Ran
from tests.databases import Database, as_admin, drop_databases, kept_database, mariadb_server, open_database
from tests.fakes import ISSUED_AT
from tests.hiding.dresses import NAMED_CONTEXT, Tokens, Value
from tests.hiding.place import Place

CRASHED = 99
CREDS = {
    "sqlite": "CREATE TABLE creds (id INTEGER PRIMARY KEY, token TEXT, note TEXT)",
    "postgresql": "CREATE TABLE creds (id INTEGER PRIMARY KEY, token TEXT, note TEXT)",
    "mariadb": "CREATE TABLE creds (id INTEGER PRIMARY KEY, token LONGTEXT, note TEXT)",
}


class Estate:
    """`creds.token` holds three tokens under the primary key; *old* is previous, and nothing needs it."""

    def __init__(self, folder: Path, database: Database, url: str | None = None, place: Place | None = None) -> None:
        self.folder, self.database, self.place = folder, database, place or Place(())
        self.url = url or database.url
        self.new, self.old, self.foreign = Key.generate(), Key.generate(), Key.generate()
        self.hidden = Tokens(self.old, self.new, self.foreign)
        self.env_file, self.config = folder / "keys.env", folder / "rotation.toml"
        self.ledger, self.page = folder / "rotation-ledger.db", folder / "page.html"
        self.write_env()
        self.write_config()

    def write_env(self) -> None:
        """The dotenv file, with both keys."""
        text = f"ENCRYPTION_KEY={self.new.reveal()}\nENCRYPTION_PREVIOUS_KEYS={self.old.reveal()}\n"
        self.env_file.touch(0o600)
        self.env_file.write_text(text)

    def write_config(self, url: str | None = None, *, vault: bool = False) -> None:
        """rotation.toml; with *vault* it names a second column, whose tokens are bound."""
        entry = {"url": url or self.url, "table": "creds", **self.place.entry}
        lines = ["[[target]]", *(f"{name} = {json.dumps(value)}" for name, value in entry.items())]
        self.config.write_text("\n".join([*lines, 'columns = ["token"]', ""]))
        if vault:
            more = {"url": url or self.url, "table": "vault", "context": NAMED_CONTEXT}
            lines = ["[[target]]", *(f"{name} = {json.dumps(value)}" for name, value in more.items())]
            with self.config.open("a") as file:
                file.write("\n".join([*lines, 'columns = ["token"]', ""]))

    def fill(self, tokens: Sequence[str], database: Database | None = None) -> None:
        """The target's table, with *tokens*; on request in another database."""
        database, definition = database or self.database, self.place.creds or CREDS[self.database.kind]
        database.execute(*definition.split("; "))
        spelled = map(self.place.spelled, tokens)
        cells = [token.encode() if "bytea" in definition else token for token in spelled]
        rows = [{"id": number, "token": cell, "note": f"note {number}"} for number, cell in enumerate(cells, 1)]
        if rows:
            database.insert("creds", rows)

    def fill_vault(self) -> None:
        """A column of bound tokens."""
        self.database.execute("CREATE TABLE vault (id INTEGER PRIMARY KEY, token VARCHAR(500))")
        self.database.insert("vault", [{"id": 1, "token": Keyring(self.new).bind(NAMED_CONTEXT).encrypt("bound")}])
        self.write_config(vault=True)

    def current(self, number: int = 3) -> list[str]:
        """Tokens under the primary key."""
        makes = Tokens(self.new, self.new, self.foreign)
        # In different years, since the page shows each year's share of them.
        return [makes.token(f"secret {n}", ISSUED_AT + n * 40_000_000) for n in range(number)]

    def put(self, statements: Sequence[str], value: Value, database: Database | None = None) -> None:
        """Runs *statements*, each in a transaction of its own."""
        cell = value.encode() if self.place.as_bytes and isinstance(value, str) else value
        for statement in statements:
            (database or self.database).execute(statement, **({"cell": cell} if ":cell" in statement else {}))

    def rotate(self, *argv: str) -> Ran:
        """`keyring-rotate ...`, as an admin types it. A crash is an exit code of its own."""
        out, err = io.StringIO(), io.StringIO()
        try:
            code = main([*argv, "--config", str(self.config), "--env-file", str(self.env_file)], {}, out, err)
        except Exception as error:  # one command's crash must not hide the others' answers
            return Ran(CRASHED, out.getvalue(), f"{err.getvalue()}{type(error).__name__}: {error}")
        return Ran(code, out.getvalue(), err.getvalue())

    def retire(self, *argv: str) -> Ran:
        """Runs `keys retire`; afterwards all is as before, whatever it did."""
        shutil.copy(self.ledger, self.folder / "ledger.before")
        ran = self.rotate("keys", "retire", self.old.id, "--no-archive", *argv)
        kept = self.old.reveal() in self.env_file.read_text()
        assert kept == (ran.code != 0), f"exit code {ran.code}, and the key is {'still' if kept else 'no longer'} there"
        self.write_env()
        shutil.copy(self.folder / "ledger.before", self.ledger)
        return ran


class Names(NamedTuple):
    """The random name that all others of an installation are made of."""

    main: str

    def fill(self, texts: Iterable[str]) -> list[str]:
        """*texts*, with names in place of `{main}`, `{more}` and `{role}`."""
        filled = (text.replace("{main}", self.main).replace("{more}", f"{self.main}_more") for text in texts)
        return [text.replace("{role}", f"{self.main}_role") for text in filled]


def words(text: str) -> str:
    """The letters and digits of *text*: a screen, a page or JSON may change the other characters of a name."""
    return "".join(filter(str.isalnum, text.casefold()))


def says(text: str, names: Sequence[str]) -> bool:
    """Whether *text* holds any of *names*."""
    return any(words(name) in words(text) for name in names)


def shows_a_token(text: str) -> bool:
    """Whether *text* holds enough of a token to open it."""
    return re.search(r"gAAAA[\w-]{30}", text) is not None


@contextmanager
def estate(kind: str, place: Place, folder: Path, server: str) -> Iterator[tuple[Estate, Names]]:
    """A fresh installation on a database of *kind*, and what the names in the place's statements stand for.

    *server* is the PostgreSQL server's url. It is the caller's own: other tests' databases would be looked at, too.
    """
    opens = {"sqlite": lambda: open_database("sqlite", folder), "mariadb": lambda: _mariadb(place)}
    with opens[kind]() if kind in opens else _postgresql(place, sa.make_url(server)) as database:
        name = "main" if kind == "sqlite" else str(sa.make_url(database.url).database)
        try:
            yield Estate(folder, database, _role_url(database, place), place), Names(name)
        finally:
            database.engine.dispose()


def second(database: Database) -> Database:
    """The other database of the same server; of SQLite another file in the same folder."""
    url = sa.make_url(database.url)
    url = url.set(database=f"{url.database}_more")
    return Database(database.kind, url.render_as_string(hide_password=False), sa.create_engine(url))


def make_afresh(database: Database) -> None:
    """Another, empty database at the same url."""
    name = sa.make_url(database.url).database
    database.engine.dispose()
    if database.kind == "sqlite":
        Path(str(name)).write_bytes(b"")
        return
    near = sa.make_url(database.url).set(database=f"{name}_more")
    drop = f"DROP DATABASE {name}" + (" WITH (FORCE)" if database.kind == "postgresql" else "")
    with as_admin(near, [drop, f"CREATE DATABASE {name}"], []):
        pass


def _role_url(database: Database, place: Place) -> str | None:
    url = sa.make_url(database.url)
    role = url.set(username=f"{url.database}_role", password="pw")
    return role.render_as_string(hide_password=False) if place.role else None


@contextmanager
def _postgresql(place: Place, server: sa.URL) -> Iterator[Database]:
    with _anew(place, server) if place.role or place.undo or _needs_more(place) else kept_database(server) as name:
        url = server.set(database=name)
        database = Database("postgresql", url.render_as_string(hide_password=False), sa.create_engine(url))
        try:
            yield database
        finally:
            database.engine.dispose()


@contextmanager
def _anew(place: Place, server: sa.URL) -> Iterator[str]:
    """The name of a database that is the only one of the server, but for another one if the place needs it."""
    drop_databases(server)
    name = f"h_{secrets.token_hex(6)}"
    databases = [name, *([f"{name}_more"] if _needs_more(place) else [])]
    made = [f"CREATE DATABASE {each}" for each in databases]
    made += [f"CREATE ROLE {name}_role LOGIN PASSWORD 'pw'"] if place.role else []
    dropped = [*place.undo, *(f"DROP DATABASE {each} WITH (FORCE)" for each in databases)]
    dropped += [f"DROP ROLE {name}_role"] if place.role else []
    with as_admin(server, made, [part.replace("{more}", f"{name}_more") for part in dropped]):
        yield name


@contextmanager
def _mariadb(place: Place) -> Iterator[Database]:
    server, name = sa.make_url(mariadb_server()), f"h_{secrets.token_hex(6)}"
    databases = [name, *([f"{name}_more"] if _needs_more(place) else [])]
    users = [name, *([f"{name}_role"] if place.role else [])]
    made = [f"CREATE DATABASE {each} CHARACTER SET utf8mb4" for each in databases]
    made += [f"CREATE USER {user}@'%' IDENTIFIED BY 'pw'" for user in users]
    made += [f"GRANT ALL ON `{each}`.* TO {name}@'%' WITH GRANT OPTION" for each in databases]
    made.append(f"GRANT REPLICA MONITOR ON *.* TO {name}@'%'")
    dropped = [f"DROP DATABASE {each}" for each in databases] + [f"DROP USER {user}@'%'" for user in users]
    with as_admin(server, made, dropped):
        url = server.set(username=name, password="pw", database=name).update_query_dict({"charset": "utf8mb4"})
        yield Database("mariadb", url.render_as_string(hide_password=False), sa.create_engine(url))


def _needs_more(place: Place) -> bool:
    return bool(place.more) or "{more}" in "".join(place.make)
