"""Settings that a role, a database or a server brings along: they change no result, or are named in a refusal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa

from keyring_core import Keyring
from rotation.fleet import announce
from tests.conftest import Cli
from tests.databases import Database, open_database
from tests.lifecycle.shop import OLD, OLDER, Shop, old_token

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
"""The types of keys that a setting may change on their way, each with its value in row n."""

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
HOSTILE = {
    "at once": {name: value for part in reversed(SETTINGS.values()) for name, value in part.items()},
    "dates in German, spans in SQL's style": {"DateStyle": "German", "IntervalStyle": "sql_standard"},
}
LONG = [pytest.param(part, id=name, marks=pytest.mark.long) for name, part in SETTINGS.items() if part]

REFUSED = {
    "statement_timeout": ("1", "raise this user's statement_timeout"),
    "default_transaction_read_only": ("on", "the database is read-only"),
    "search_path": ("nowhere", "there is no table creds"),
}


@contextmanager
def with_settings(database: Database, settings: Mapping[str, str]) -> Iterator[str]:
    """A url without options, whose user has these *settings*."""
    url = sa.make_url(database.url).difference_update_query(["options"])
    for name, value in settings.items():
        given = value if name == "search_path" else f"'{value}'"
        database.execute(f"ALTER ROLE {url.username} SET {name} = {given}")
    try:
        yield url.render_as_string(hide_password=False)
    finally:
        database.execute(f"ALTER ROLE {url.username} RESET ALL")


@pytest.mark.usefixtures("announcing")
@pytest.mark.parametrize("settings", [pytest.param({}, id="none"), *map(pytest.param, HOSTILE.values()), *LONG])
def test_settings_of_a_role_change_no_result(settings: Mapping[str, str], tmp_path: Path) -> None:
    """Keys of every type that one of them touches, the ledger beside them, a service that announces, a retirement."""
    with open_database("postgresql", tmp_path) as database, database.engine.begin() as connection:
        for kind, key in KEYS.items():
            made = (
                f"SELECT {key} AS id, CAST('{old_token('older')}' AS text) AS token FROM generate_series(1, {ROWS}) n"
            )
            connection.exec_driver_sql(f"CREATE TABLE by_{kind} AS {made}")
            connection.exec_driver_sql(f"ALTER TABLE by_{kind} ADD PRIMARY KEY (id)")
        connection.commit()
        with with_settings(database, settings) as url:
            shop = Shop(tmp_path, Database("postgresql", url, database.engine))
            target = '[[target]]\nurl = "{}"\ntable = "by_{}"\ncolumns = ["token"]\n'
            shop.config.write_text("".join([f'ledger = "{url}"\n', *(target.format(url, kind) for kind in KEYS)]))
            made = shop.rotate("ledger", "init")
            told = announce(sa.create_engine(url), keyring=Keyring(OLD, previous=[OLDER]))
            ran = shop.rotate("run", "--json", "--batch-size", "2")
            checked = shop.rotate("check", "--json")
            retired = shop.keys("retire", OLDER.id, "--no-archive", "--json")

    assert (made.code, told, ran.code, ran.document["complete"]) == (0, True, 0, True), ran.out + ran.err
    assert [each["rotated"] for each in ran.document["targets"]] == [ROWS] * len(KEYS)
    assert (checked.code, "Warning" in ran.err + checked.err) == (0, False), checked.out + checked.err
    assert retired.code == 0, retired.out + retired.err
    assert [each["under"] for each in retired.document["certificate"]["targets"]] == [{OLD.id: ROWS}] * len(KEYS)


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
