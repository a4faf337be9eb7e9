"""Settings that a role, a database or a server brings along: they change no result, or are named in a refusal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa

from keyring_core import Keyring
from rotation.fleet import announce
from tests.chaos.server import own_mariadb
from tests.conftest import Cli
from tests.databases import Database, open_database
from tests.lifecycle.shop import OLD, OLDER, Shop, old_token
from tests.processes import until
from tests.stores.tokens import make_token, report

pytestmark = [pytest.mark.database, pytest.mark.filterwarnings("ignore::keyring_core.KeyConfigWarning")]

ROWS = 6
KEYS = {
    # In Berlin, two of them are half past two: the clock is put back between them.
    "timestamptz": "TIMESTAMPTZ '2021-10-31 00:00:00.000007+00' + make_interval(mins => 30 * n)",
    "timestamp": "TIMESTAMP '2021-03-04 05:06:07.891011' + make_interval(hours => n)",
    "date": "DATE '2021-02-03' + n",
    "time": "TIME '01:02:03.000001' + make_interval(mins => n)",
    "timetz": "TIMETZ '01:02:03.000001+02' + make_interval(mins => n)",
    # A year is 360 days, which come before 362.
    "interval": "make_interval(years => mod(n, 2), days => 360 * (1 - mod(n, 2)) + n, secs => -0.000001 * n)",
    "float8": "CAST(n / CAST(3 AS float8) AS float8)",
    "bytea": r"decode('00275c0' || n, 'hex')",
    "text": r"E'1\\2''\t' || n",
}
"""The types of keys that a setting may change on their way, each with its value in row *n*."""

SETTINGS: Mapping[str, Mapping[str, str]] = {
    "none": {},
    "of dates in SQL's style": {"DateStyle": "SQL, DMY", "TimeZone": "Europe/Berlin"},
    "of dates in German": {"DateStyle": "German"},
    "of dates in the old style": {"DateStyle": "Postgres, MDY", "TimeZone": "<odd>-14:30"},
    "of spans": {"IntervalStyle": "iso_8601"},
    "of spans in SQL's style": {"IntervalStyle": "sql_standard"},
    "of floats": {"extra_float_digits": "-15"},
    "of bytes": {"bytea_output": "escape", "standard_conforming_strings": "off", "backslash_quote": "off"},
    "of names": {"quote_all_identifiers": "on", "search_path": "nowhere, public, pg_catalog"},
    "of texts": {"client_encoding": "latin1", "array_nulls": "off", "transform_null_equals": "on"},
    "of transactions": {"default_transaction_isolation": "serializable", "default_transaction_deferrable": "on"},
    "of times": {"lock_timeout": "1", "idle_session_timeout": "200", "idle_in_transaction_session_timeout": "200"},
    "of plans": {"enable_indexscan": "off", "enable_bitmapscan": "off", "plan_cache_mode": "force_generic_plan"},
    "of messages": {"client_min_messages": "debug1", "escape_string_warning": "on", "track_activities": "on"},
    "of rights": {"row_security": "off"},
}
MARIADB_KEYS = {
    "timestamp(6)": "FROM_UNIXTIME(1635638400.000007 + 1800 * {n})",
    "datetime(6)": "TIMESTAMP('2021-03-04 05:06:07.891011') + INTERVAL {n} HOUR",
    "date": "DATE('2021-02-03') + INTERVAL {n} DAY",
    "time(6)": "SEC_TO_TIME(100.000001 * {n})",
    "double": "{n} / 3e0",
    "varbinary(20)": "CONCAT(UNHEX('00275c0d'), {n})",
    "varchar(20)": "CONCAT(CHAR(92, 39, 34), {n})",
    "char(20)": "CONCAT('ab ', {n})",
    "bigint unsigned": "18446744073709551600 + {n}",
    "int": "{n} - 3",
}
MODES = (
    "ANSI_QUOTES NO_BACKSLASH_ESCAPES PAD_CHAR_TO_FULL_LENGTH NO_UNSIGNED_SUBTRACTION IGNORE_SPACE HIGH_NOT_PRECEDENCE"
)
MARIADB_SETTINGS = {
    "of limits": "sql_select_limit = 1, sql_safe_updates = 1, sql_big_selects = 0, max_join_size = 1",
    "of names": "sql_quote_show_create = 0",
    "of modes": f"sql_mode = '{MODES.replace(' ', ',')}'",
    "of texts": "character_set_results = NULL, collation_connection = 'latin1_swedish_ci', lc_messages = 'de_DE'",
    "of transactions": "autocommit = 0, completion_type = 1, tx_isolation = 'SERIALIZABLE'",
    "of times": "time_zone = '+05:30', innodb_lock_wait_timeout = 0, net_read_timeout = 1",
    "of the past": "system_versioning_asof = '2020-01-01'",
    "of sizes": "group_concat_max_len = 4, div_precision_increment = 0, max_sort_length = 64",
    "of plans": "optimizer_switch = 'derived_merge=off,materialization=off,semijoin=off', sql_auto_is_null = 1",
}
HOSTILE = {
    "at once": {name: value for part in reversed(SETTINGS.values()) for name, value in part.items()},
    "dates in German, spans in SQL's style": {"DateStyle": "German", "IntervalStyle": "sql_standard"},
}
MARIADB = [pytest.param((), id="none"), pytest.param(tuple(MARIADB_SETTINGS.values()), id="at once")]
MARIADB_LONG = [pytest.param((part,), id=name, marks=pytest.mark.long) for name, part in MARIADB_SETTINGS.items()]
LONG = [pytest.param(part, id=name, marks=pytest.mark.long) for name, part in SETTINGS.items() if part]

REFUSED = {
    "statement_timeout": ("1", "raise this user's statement_timeout"),
    "default_transaction_read_only": ("on", "the database is read-only"),
    "search_path": ("nowhere", "there is no table creds"),
}


@contextmanager
def with_settings(database: Database, settings: Mapping[str, str]) -> Iterator[str]:
    """A url without options, whose user has these *settings*, as far as the server's version knows them."""
    url = sa.make_url(database.url).difference_update_query(["options"])
    known = {name for (name,) in database.rows("SELECT lower(name) FROM pg_settings")}
    for name, value in ((name, value) for name, value in settings.items() if name.lower() in known):
        given = value if name == "search_path" else f"'{value}'"
        database.execute(f"ALTER ROLE {url.username} SET {name} = {given}")
    try:
        yield url.render_as_string(hide_password=False)
    finally:
        database.execute(f"ALTER ROLE {url.username} RESET ALL")


def a_whole_story(folder: Path, database: Database, url: str, tables: Sequence[str]) -> None:
    """A ledger is made there, a service announces itself, a run rotates all *tables*, and the key is retired."""
    shop = Shop(folder, Database(database.kind, url, database.engine))
    target = '[[target]]\nurl = "{}"\ntable = "{}"\ncolumns = ["token"]\n'
    shop.config.write_text("".join([f'ledger = "{url}"\n', *(target.format(url, table) for table in tables)]))

    made = shop.rotate("ledger", "init")
    engine = sa.create_engine(url)
    # On a busy machine the server may end a transaction that pauses, as these settings have it.
    until(lambda: announce(engine, keyring=Keyring(OLD, previous=[OLDER])), "an announcement")
    ran = shop.rotate("run", "--json", "--batch-size", "2")
    checked = shop.rotate("check", "--json")
    if database.kind == "mariadb":
        # Its old rows are tokens, too.
        database.execute("DELETE HISTORY FROM versioned")
    retired = shop.keys("retire", OLDER.id, "--no-archive", "--json", "--no-wait")

    assert (made.code, ran.code, ran.document["complete"]) == (0, 0, True), made.err + ran.out + ran.err
    assert [each["rotated"] for each in ran.document["targets"]] == [ROWS] * len(tables)
    assert (checked.code, "Warning" in ran.err + checked.err) == (0, False), checked.out + checked.err
    assert retired.code == 0, retired.out + retired.err
    assert [each["under"] for each in retired.document["certificate"]["targets"]] == [{OLD.id: ROWS}] * len(tables)


@pytest.mark.some(1)
@pytest.mark.usefixtures("announcing")
@pytest.mark.parametrize(
    "settings", [pytest.param({}, id="none", marks=pytest.mark.long), *map(pytest.param, HOSTILE.values()), *LONG]
)
def test_settings_of_a_role_change_no_result(settings: Mapping[str, str], tmp_path: Path) -> None:
    """Keys of every type that one of them touches, the ledger beside them, a service that announces, a retirement."""
    with open_database("postgresql", tmp_path) as database:
        with database.engine.begin() as connection:
            for kind, key in KEYS.items():
                row = f"{key} AS id, CAST('{old_token('older')}' AS text) AS token"
                connection.exec_driver_sql(f"CREATE TABLE by_{kind} AS SELECT {row} FROM generate_series(1, {ROWS}) n")
                connection.exec_driver_sql(f"ALTER TABLE by_{kind} ADD PRIMARY KEY (id)")
        with with_settings(database, settings) as url:
            a_whole_story(tmp_path, database, url, [f"by_{kind}" for kind in KEYS])


@pytest.mark.some(1)
@pytest.mark.usefixtures("announcing")
@pytest.mark.parametrize("settings", [*MARIADB, *MARIADB_LONG])
def test_settings_of_a_mariadb_session_change_no_result(settings: Sequence[str], tmp_path: Path) -> None:
    """As a server's `init_connect` or the url sets them; one table is versioned, and its past was empty."""
    with open_database("mariadb", tmp_path) as database:
        tables = {f"by{number}": "" for number in range(len(MARIADB_KEYS))} | {"versioned": " WITH SYSTEM VERSIONING"}
        with database.engine.begin() as connection:
            connection.exec_driver_sql("SET time_zone = '+00:00'")
            keys = [*MARIADB_KEYS.items(), ("int", "{n}")]
            for (table, words), (kind, key) in zip(tables.items(), keys, strict=True):
                connection.exec_driver_sql(f"CREATE TABLE {table} (id {kind} PRIMARY KEY, token TEXT){words}")
                for n in range(1, ROWS + 1):
                    row = key.format(n=n)
                    connection.exec_driver_sql(f"INSERT INTO {table} SELECT {row}, '{old_token('older')}'")
        url = sa.make_url(database.url)
        if settings:
            url = url.update_query_dict({"init_command": f"SET {', '.join(settings)}"})
        a_whole_story(tmp_path, database, url.render_as_string(hide_password=False), list(tables))


@pytest.mark.long
def test_a_timestamp_is_no_key_where_the_clock_is_put_back(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two of them would be read as one time: refused, with what to add to the url; then the run passes."""
    monkeypatch.setenv("TZ", "Europe/Berlin")
    with own_mariadb() as server:
        database = server.database
        database.execute("CREATE TABLE creds (id TIMESTAMP PRIMARY KEY, token TEXT)")
        with database.engine.begin() as connection:
            connection.exec_driver_sql("SET time_zone = '+00:00'")
            for time in ("00:30", "01:00", "01:30", "02:00"):
                connection.exec_driver_sql(f"INSERT INTO creds VALUES ('2021-10-31 {time}', '{make_token(time)}')")
        argv = ("run", "--json", "--batch-size", "1", "--table", "creds", "--column", "token", "--url")
        refused = cli(*argv, database.url)
        ran = cli(*argv, f"{database.url}&init_command=SET%20time_zone='%2B00:00'")

    assert (refused.code, "add init_command=SET%20time_zone='%2B00:00' to the url" in refused.err) == (2, True)
    assert (ran.code, report(ran)["rotated"]) == (0, 4)


@pytest.mark.some(1)
@pytest.mark.parametrize("setting", REFUSED)
@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_a_setting_that_no_run_can_work_with_is_named(
    database: Database, cli: Cli, setting: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What to change stands in the message; there is no traceback, and nothing is written."""
    monkeypatch.setattr("rotation.context.Streams.wait", lambda self, seconds: None)
    value, words = REFUSED[setting]
    database.make_creds([old_token("older")])
    before = database.column()
    with with_settings(database, {setting: value}) as url:
        ran = cli("run", "--url", url, "--table", "creds", "--column", "token")

    assert (ran.code in {2, 3}, words in ran.err, database.column()) == (True, True, before), ran.err
