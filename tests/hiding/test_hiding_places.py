"""No key is retired while a token under it is anywhere: five commands are run on one token in one hiding place."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from rotation.model.text import UNOPENED
from tests.chaos.server import own_postgres
from tests.conftest import Ran
from tests.databases import drop_databases
from tests.hiding.dresses import DRESSES, Tokens, Value
from tests.hiding.estate import Estate, Names, estate, says, second, shows_a_token
from tests.hiding.place import Place
from tests.hiding.places import ALL, CALM, FIRST, FIRST_OF_ALL, HARMLESS, ROWS, SHORT, Row
from tests.hiding.swaps import SWAPS, Swap
from tests.output.html.test_page import Parsed

pytestmark = [
    pytest.mark.database,
    pytest.mark.filterwarnings("ignore::keyring_core.KeyConfigWarning"),
    pytest.mark.uncounted,
    # One worker starts the server.
    pytest.mark.xdist_group("hiding"),
]

MAY_GO = "may be retired"
ALL_OF_IT = re.compile(r"\b100(?:[.,]0+)?\s*%")
HARMLESS_VALUE = '"harmless whatever it is that stands here since no token is in it"'


def some(table: Sequence[Any], short: Callable[[Any], bool]) -> list[Any]:
    """The entries of *table*; all but the *short* ones are for `--long`."""
    return [pytest.param(one, id=one.id, marks=[] if short(one) else pytest.mark.long) for one in table]


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """A PostgreSQL server without other databases: a retirement searches all of them."""
    # It never crashes, and each new database would wait for the disk.
    with own_postgres("fsync=off", "full_page_writes=off") as own:
        yield own.database.url
        drop_databases(sa.make_url(own.database.url))


@contextmanager
def complete(row: Row, folder: Path, request: pytest.FixtureRequest) -> Iterator[tuple[Estate, Names]]:
    """An installation whose every token is under the primary key, as the ledger knows."""
    server = request.getfixturevalue("server") if row.kind == "postgresql" else ""
    with estate(row.kind, row.place, folder, server) as (made, names):
        made.fill(made.current())
        if row.dress == "bound-to-a-named-context":
            made.fill_vault()
        if row.place.role:
            made.put(names.fill(row.place.lets_in), "")
        assert made.rotate("status").code == 0, "the harness: nothing is hidden yet"
        yield made, names


def hide(made: Estate, names: Names, value: Value) -> None:
    """Puts *value* into the place."""
    if made.place.more:
        other = second(made.database)
        made.put(names.fill(made.place.more), value, other)
        other.engine.dispose()
    made.put(names.fill(made.place.make), value)


@pytest.mark.some(4)
@pytest.mark.parametrize("row", some(ROWS, lambda row: row in SHORT))
def test_no_command_lets_the_key_go(
    row: Row, tmp_path: Path, request: pytest.FixtureRequest, *, long_form: bool
) -> None:
    """If one token needs the key, retiring is refused, or the place is named as not looked at; all commands agree."""
    with complete(row, tmp_path, request) as (made, filled):
        hide(made, filled, DRESSES[row.dress](made.hidden))
        names, in_words = filled.fill(row.place.names), row in (FIRST if long_form else FIRST_OF_ALL)
        faults = [
            f"{command}: {fault}" for command, fault in _faults(made, names, searched=row in FIRST, in_words=in_words)
        ]

    assert not faults, "\n".join([row.why, *faults])


def _faults(made: Estate, names: list[str], *, searched: bool, in_words: bool) -> Iterator[tuple[str, str]]:
    """What is wrong with each command's answer; *in_words* reads the page and the words of `keys retire`, too."""
    answers: dict[str, tuple[Ran, Iterable[str]]] = {}
    # The form of a token makes no difference to them between databases, nor to what a page says of a refusal.
    if searched or made.database.kind == "sqlite":
        checked = made.rotate("check", "--json")
        found = made.rotate("discover", "--full", "--json")
        answers |= {
            "check": (checked, _checked_faults(checked, names)),
            "discover": (found, () if made.place.covered else _found_faults(found, names)),
        }
    if in_words:
        reported = made.rotate("report", "--html", str(made.page))
        answers["report"] = reported, _reported_faults(made, reported, names)
    retired = made.retire("--json")
    answers["retire --json"] = retired, _retired_faults(retired, names)
    if in_words:
        told = made.retire()
        answers["retire"] = (told, _told_faults(told, names))
    for command, (ran, faults) in answers.items():
        if shows_a_token(ran.out + ran.err):
            yield command, "shows a token"
        yield from ((command, fault) for fault in faults)


def _retired_faults(ran: Ran, names: list[str]) -> Iterator[str]:
    if ran.code == 0:
        certificate = ran.document["certificate"]
        if not says(" ".join([*certificate["not_looked_at"], *certificate["unopened"]]), names):
            yield "lets the key go, and the certificate does not name the place as not looked at, or read in vain"
    elif ran.code != 1:
        yield f"exit code {ran.code}: {ran.out[-300:]} {ran.err[-300:]}"
    elif not says(" ".join(refusal["reason"] for refusal in ran.document["refused"]), names):
        yield f"refuses for another reason: {ran.document['refused']}"


def _told_faults(ran: Ran, names: list[str]) -> Iterator[str]:
    if ran.code == 0:
        if not any(says(ran.out.partition(heading)[2], names) for heading in ("Not looked at:", f"{UNOPENED}:")):
            yield "lets the key go, and does not say that the place was not looked at, or read in vain"
    elif ran.code != 1:
        yield f"exit code {ran.code}: {ran.err[-300:]}"
    elif not says(ran.out, names):
        yield f"refuses for another reason: {ran.out[-300:]}"


def _checked_faults(ran: Ran, names: list[str]) -> Iterator[str]:
    if ran.code not in range(4):
        yield f"exit code {ran.code}: {ran.err[-300:]}"
    elif MAY_GO in ran.out and not _not_looked_at(ran.out, names):
        yield f'says "{MAY_GO}"'


def _reported_faults(made: Estate, ran: Ran, names: list[str]) -> Iterator[str]:
    if not made.page.exists():
        yield f"no page, exit code {ran.code}: {ran.out[-300:]} {ran.err[-300:]}"
        return
    html = made.page.read_text()
    shown = Parsed(html).text
    if shows_a_token(html):
        yield "the page shows a token"
    for claim in (MAY_GO, *ALL_OF_IT.findall(shown)):
        if claim in shown and not _not_looked_at(shown, names):
            yield f'says "{claim}"'
            return


def _not_looked_at(text: str, names: list[str]) -> bool:
    """Whether *text* names the place after the words 'not looked at'."""
    _, words, rest = text.casefold().replace("_", " ").partition("not looked at")
    return bool(words) and says(rest, names)


def _found_faults(ran: Ran, names: list[str]) -> Iterator[str]:
    if ran.code not in (0, 1, 3) or "error" in (document := ran.document):
        yield f"exit code {ran.code}: {ran.out[-300:]} {ran.err[-300:]}"
        return
    uncovered = [column for column in document["columns"] if not column["covered"]]
    places = [f"{column['database']} {column['table']}.{column['column']}" for column in uncovered]
    places += [column["column"] for column in document["blind_indexes"]]
    for kind in ("remarks", "unseen", "beyond", "unopened", "hidden"):
        places += [" ".join(remark.values()) for remark in document.get(kind, [])]
    if not says(" ".join(places), names):
        yield "does not name the place"


@pytest.mark.some(2)
@pytest.mark.parametrize("rows", HARMLESS, ids=[f"{rows[0].kind}-{rows[0].where}" for rows in HARMLESS])
def test_what_is_under_a_foreign_key_inside_text_keeps_no_key(
    rows: Sequence[Row], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Another application's tokens in documents and logs do not keep a key, whatever their form."""
    with complete(rows[0], tmp_path, request) as (made, names):
        first, *more = (DRESSES[row.dress](Tokens(made.foreign, made.foreign, made.foreign)) for row in rows)
        hide(made, names, first)
        made.database.insert("stash", [{"id": number, "body": value} for number, value in enumerate(more, 2)])
        ran = made.retire("--json")

    assert ran.code == 0, ran.out + ran.err


@pytest.mark.some(3)
@pytest.mark.parametrize("row", some(CALM, lambda row: row.where in {place.where for place in SHORT}))
def test_a_place_with_nothing_in_it_keeps_no_key(row: Row, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """Values that only look unusual do not keep a key."""
    with complete(row, tmp_path, request) as (made, names):
        hide(made, names, HARMLESS_VALUE)
        ran = made.retire("--json")

    assert ran.code == 0, ran.out + ran.err


@pytest.mark.parametrize("swap", some(SWAPS, lambda swap: swap.id == "fresh-database"))
@pytest.mark.parametrize("kind", ALL.split())
def test_a_database_that_holds_less_than_the_ledger_knows_keeps_the_key(
    kind: str, swap: Swap, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """The ledger knows 300 tokens that no run has rotated, and the database that held them was replaced."""
    server = request.getfixturevalue("server") if kind == "postgresql" else ""
    with estate(kind, Place((), more=("SELECT 1",)), tmp_path, server) as (made, _):
        made.fill([made.hidden.token(f"secret {number}") for number in range(300)])
        assert made.rotate("status").code == 1
        swap.do(made)
        checked, reported = made.rotate("check", "--json"), made.rotate("report", "--html", str(made.page))
        retired = made.retire("--json")
        faults = [f"retire --json: {fault}" for fault in _retired_faults(retired, ["creds"])]
        faults += [f"retire --json: exit code {retired.code}"] if retired.code != 1 else []
        faults += [f"check: {fault}" for fault in _checked_faults(checked, ["creds"])]
        faults += [f"report: {fault}" for fault in _reported_faults(made, reported, ["creds"])]

    assert not faults, "\n".join([swap.why, *faults])


@pytest.mark.parametrize("kind", ALL.split())
def test_a_key_whose_tokens_a_run_has_moved_goes(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """The same 300 tokens after `run`: the run explains why they are gone."""
    server = request.getfixturevalue("server") if kind == "postgresql" else ""
    with estate(kind, Place(()), tmp_path, server) as (made, _):
        made.fill([made.hidden.token(f"secret {number}") for number in range(300)])
        codes = [made.rotate("status").code, made.rotate("run").code, made.rotate("status").code]
        ran = made.retire("--json")

    assert (codes, ran.code) == ([1, 0, 0], 0), ran.out + ran.err
