"""The promises of a blind index: one test each, which the driver of each ORM runs on each kind of database."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import Any, Protocol

import pytest

from keyring_core import ComparisonError, Keyring, PlaintextError, StaleIndexError, get_keyring, key_set
from keyring_core.blind_index import BlindIndex, IndexText
from keyring_core.redaction.secret import Secret
from rotation.job.loop import rotate
from rotation.job.options import RunOptions
from rotation.model.target import Index, Target
from rotation.stores.store import Store
from tests.conftest import NEW, OLD, Named
from tests.fakes import Silence
from tests.integrations.conftest import use_keys
from tests.keys import key_text

MAIL, OTHER = "a@b.c", "b@b.c"
BORN = date(2001, 2, 3)
NEWEST = "the newest"
WRITTEN: dict[str, tuple[Any, str, str, Any]] = {
    "mail": (MAIL, MAIL, MAIL, OTHER),
    "own": (" A@B.C ", "a@b.c", "a@b.c", "B"),
    "city": ("Straße", "Straße", "strasse", "Été"),
    "born": (BORN, "2001-02-03", "2001-02-03", date(1999, 1, 1)),
    "raw": (b"abc", "abc", "abc", b"d"),
}
"""For a column: a value, what its cell holds, what its index is of, and another value."""
CONTEXTS = {"city": "town", "town": "town", "home": "town", "card": "town"}

Row = dict[str, Any]
Ids = list[int]


def indexes(row: Row) -> Row:
    """The index of each encrypted column of *row*, given as the value."""
    return {f"{name}_index": value for name, value in row.items() if name != "id"}


def one_by_one(write: Callable[[Row], object]) -> Callable[[Sequence[Row]], object]:
    """Writes rows one by one."""
    return lambda rows: [write(row) for row in rows]


class IndexDriver(Protocol):
    """The table `members`, as one ORM declares it, and each way of that ORM to write and to ask.

    A plain column `name`, and encrypted ones, each with its index, such as `mail_index`. `own` has a type of the
    application that stores lower case without blanks. The indexes of `city`, `town`, `home` and `card` have the context
    "town", and all but `home` the normal form `casefold`; `card` has the key set "cards". `born` holds dates, `raw`
    bytes.
    """

    database: Any

    def clear(self) -> None:
        """Deletes all rows."""

    def inserts(self) -> Mapping[str, Callable[[Sequence[Row]], object]]:
        """Each way to write new rows."""

    def changes(self) -> Mapping[str, Callable[[int, str, Any], object]]:
        """Each way to give the column of a row another value, as it should be written."""

    def stale(self, value: str) -> Sequence[tuple[str, Callable[[], object]]]:
        """Words of an error, and what raises it: *value* is written as a `mail` without its index, or with another's.

        As the one of row 1, or of new rows.
        """

    def lookup(self, column: str, how: str, value: Any) -> Ids:
        """The rows whose index is "in", or "not in", a list; or "=" or "!=" a value."""

    def questions(self, value: str) -> Mapping[str, Callable[[], Ids]]:
        """Each way to ask for the rows with that `mail`: made now, and asked again and again."""

    def refused(self) -> Mapping[str, Callable[[], object]]:
        """What a blind index cannot answer, and comparisons with other columns than those that are made alike."""

    def compared(self) -> Sequence[tuple[str, Callable[[], Ids]]]:
        """Each way to compare `town_index` with `city_index`, and which one of FOUND it is."""

    def read(self, number: int) -> Any:
        """The object of that row, as another session reads it."""

    def index_of(self, column: str) -> Index:
        """The index of the column as a run takes it from the models."""

    def check_error(self, error: BaseException) -> None:
        """Asserts that it is an error that the ORM hands on as it is."""

    def add(self, number: int, **values: Any) -> None:
        next(iter(self.inserts().values()))([{"id": number, **values}])

    def cells(self, column: str) -> dict[int, Any]:
        return self.database.column("members", column)

    def has(self, column: str, number: int, held: str, indexed: str) -> None:
        """Asserts what the cell holds, and what its index is of, in the database and in an object."""
        ring, index = get_keyring(), self.cells(f"{column}_index")[number]

        assert ring.decrypt(self.cells(column)[number]) == held
        assert index == BlindIndex(CONTEXTS.get(column, f"members.{column}")).of(ring, indexed)
        shown = getattr(self.read(number), f"{column}_index")
        assert (shown, isinstance(shown, IndexText)) == (index, True)

    def run(self, column: str) -> Any:
        """The report of a run over the column and its index, as the model declares them."""
        target = Target(self.database.url, "members", column, column, index=self.index_of(column))
        options = RunOptions()
        return rotate(
            [target], get_keyring(), lambda each: Store(each, read_only=False, sleep=time.sleep), options, Silence()
        )


FOUND = {
    "equal": [1],
    "not equal": [2, 3],
    "one of all": [1, 2],
    "that of one row": [3],
    "one of another row": [1, 2],
    "or a value": [1, 3],
}
"""What each comparison of `compared` finds of COMPARED."""
COMPARED: list[Row] = [
    {"id": 1, "town": "A", "city": "a"},
    {"id": 2, "town": "a", "city": "b"},
    {"id": 3, "town": "c", "city": None},
]


def _is_refused(orm: IndexDriver, act: Callable[[], object], error: type[Exception], words: str, value: str) -> None:
    """Each time, and without showing the *value*."""
    for _ in range(2):
        with pytest.raises(error, match=words) as caught:
            act()
        orm.check_error(caught.value)
        assert value not in str(caught.value)


class IndexContract:
    """A subclass has the fixture `orm`, a driver whose table is empty; the keys of the process are NEW and OLD."""

    def test_each_insert_stores_the_index(self, orm: IndexDriver, named: Named) -> None:
        """Each way to insert stores the index of what the cell holds: a normal form, a date, what a type makes."""
        for way, insert in orm.inserts().items():
            for column, (value, held, indexed, other) in WRITTEN.items():
                with named(way, column):
                    orm.clear()
                    insert([{"id": 1, column: value}, {"id": 2, column: other}])

                    orm.has(column, 1, held, indexed)
                    found = [orm.lookup(column, "=", each) for each in (value, other)]
                    assert found == [[1], [2]]

    def test_each_change_stores_the_index(self, orm: IndexDriver, named: Named) -> None:
        """So does each way to change a value; None has NULL as its index, by which nothing is found."""
        for way, change in orm.changes().items():
            for column, (value, held, indexed, other) in WRITTEN.items():
                with named(way, column):
                    orm.clear()
                    orm.add(1, **{column: other})
                    orm.add(2, **{column: other})
                    change(1, column, value)

                    orm.has(column, 1, held, indexed)
                    assert (orm.lookup(column, "=", value), orm.lookup(column, "=", other)) == ([1], [2])

                    change(2, column, None)
                    assert orm.cells(f"{column}_index")[2] is None
                    assert getattr(orm.read(2), f"{column}_index") is None
                    assert (orm.lookup(column, "=", None), orm.lookup(column, "=", other)) == ([2], [])

    def test_rows_are_found_under_each_key_of_the_time(
        self, orm: IndexDriver, named: Named, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Each way to ask finds the rows of a value, whatever key their index is under: one kept from before, too."""
        questions = orm.questions(MAIL)
        found: dict[str, list[Ids]] = {way: [ask()] for way, ask in questions.items()}
        keys = [OLD], [NEW, OLD], [NEWEST, NEW, OLD]
        for number, labels in enumerate(keys, 1):
            use_keys(monkeypatch, *labels)
            orm.add(number, mail=MAIL)
            orm.add(number + 10, mail=OTHER)
            for way, ask in questions.items():
                found[way].append(ask())
        ids = {index[:8] for index in orm.cells("mail_index").values()}
        use_keys(monkeypatch, NEWEST, OLD)

        assert len(ids) == len(keys)
        for way, ask in questions.items():
            with named(way):
                assert [*found[way], ask()] == [[], [1], [1, 2], [1, 2, 3], [1, 3]]

    def test_a_lookup_takes_what_the_column_takes(self, orm: IndexDriver, named: Named) -> None:
        """Equal and not, in a list and not: a text, a Secret, a spelling with the same normal form, a date, bytes."""
        orm.add(1, mail=MAIL, own="X", city="Straße", born=BORN, raw=b"a")
        orm.add(2, mail="A@b.c", own="y ", city="STRASSE", born=date(2002, 1, 1), raw=b"b")

        for column, value, others in (
            ("mail", MAIL, [Secret(MAIL)]),
            ("own", "x", [" X"]),
            ("born", BORN, [Secret(BORN)]),
            ("raw", b"a", []),
        ):
            for each in (value, *others):
                with named(column, each):
                    assert orm.lookup(column, "=", each) == orm.lookup(column, "in", [each]) == [1]
                    assert orm.lookup(column, "!=", each) == orm.lookup(column, "not in", [each]) == [2]
            assert orm.lookup(column, "in", []) == []
        assert orm.lookup("mail", "in", [MAIL, "A@b.c", "x"]) == [1, 2]
        for spelling in ("straße", "STRASSE", "sTrasse"):
            assert orm.lookup("city", "=", spelling) == orm.lookup("city", "in", ["x", spelling]) == [1, 2]
        assert orm.lookup("city", "=", "Strase") == []

    def test_a_text_without_an_index_is_not_shown(self, orm: IndexDriver) -> None:
        """A lone surrogate has none: the error shows nothing of the text, and nothing that holds it is reachable."""
        with pytest.raises(PlaintextError, match="lone surrogate") as caught:
            orm.lookup("mail", "=", "sk-live\ud800")

        assert "sk-live" not in str(caught.value)
        assert caught.value.__context__ is None

    def test_a_run_makes_the_same_index(self, orm: IndexDriver, monkeypatch: pytest.MonkeyPatch) -> None:
        """Also of a cell that another program wrote in another spelling; the context is that of the table or given."""
        use_keys(monkeypatch, OLD)
        for number, values in enumerate(([each[0] for each in WRITTEN.values()], [None] * len(WRITTEN)), 1):
            orm.add(number, **dict(zip(WRITTEN, values, strict=True)))
        orm.add(3, born=date(2020, 1, 1))
        spelled = get_keyring().encrypt("20010203")
        orm.database.execute("UPDATE members SET born = :cell WHERE id = 3", cell=spelled)
        use_keys(monkeypatch, NEW, OLD)

        ended = [orm.run(column) for column in WRITTEN]

        assert [each.exit_code for each in ended] == [0] * len(WRITTEN)
        for column, (value, held, indexed, _) in WRITTEN.items():
            orm.has(column, 1, held, indexed)
            assert orm.cells(f"{column}_index")[2] is None
            assert orm.lookup(column, "=", value) == ([1, 3] if column == "born" else [1])
        contexts = [orm.index_of(column).context for column in ("mail", "own", "city", "home")]
        assert contexts == ["members.mail", "members.own", "town", "town"]

    def test_a_stale_index_is_refused(self, orm: IndexDriver, named: Named) -> None:
        """A value without its index, or with another value's, raises each time, shows nothing, and writes nothing."""
        orm.add(1, mail=MAIL, city="x")
        before = orm.cells("mail"), orm.cells("mail_index")

        for number, (words, write) in enumerate(orm.stale(OTHER)):
            with named(words, number):
                _is_refused(orm, write, StaleIndexError, rf"^members\.mail.*{words}", OTHER)
                assert (orm.cells("mail"), orm.cells("mail_index")) == before

    def test_other_questions_are_refused(self, orm: IndexDriver, named: Named) -> None:
        """What an HMAC cannot answer raises, and so does a comparison with an index that is made in another way."""
        orm.add(1, mail=MAIL, city="x", town="X", home="x")

        for way, ask in orm.refused().items():
            with named(way):
                _is_refused(orm, ask, ComparisonError, r"^members\.\w+: ", MAIL)

    def test_columns_of_one_context_are_compared(self, orm: IndexDriver, named: Named) -> None:
        """The database compares their indexes: with a column, with those of a subquery, and with that of one row."""
        for row in COMPARED:
            orm.add(row["id"], **row)
        asked = set()

        for what, ask in orm.compared():
            asked.add(what)
            with named(what):
                assert ask() == FOUND[what]
        assert asked == {*FOUND}

    def test_a_column_and_its_index_are_under_its_own_keys(
        self, orm: IndexDriver, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """With a key set a cell is written and read, and its index made and looked up, under that set's keys."""
        monkeypatch.setenv("CARDS_ENCRYPTION_KEY", key_text("cards"))
        key_set("cards").reset()
        try:
            orm.add(1, card="CH1", town="ch1")

            [cell], [index] = orm.cells("card").values(), orm.cells("card_index").values()
            ring = Keyring(key_text("cards"))
            assert (ring.decrypt(cell), index) == ("CH1", BlindIndex("town").of(ring, "ch1"))
            assert orm.read(1).card == "CH1"
            assert orm.lookup("card", "=", "ch1") == [1]
        finally:
            key_set("cards").reset()
