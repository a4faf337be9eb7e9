"""A batch with a row that the database refuses: all the others are written."""

from __future__ import annotations

import pytest

from rotation.model.batch import Written
from rotation.stores import access
from rotation.stores.access import Access
from rotation.stores.dialect import Mode
from rotation.stores.store import write_by_halves

pytestmark = pytest.mark.database

NO_SERVER = "mysql://root@127.0.0.1:1/app"


@pytest.mark.parametrize(("category", "later"), [("locked", Mode.HURRIED), ("refused", Mode.WRITE)])
def test_a_batch_waits_for_one_lock_only(category: str, later: Mode, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its halves, and theirs, wait for none: services wait for what it holds. A refused row is no reason to hurry."""
    store, modes = Access(NO_SERVER, "creds", read_only=False, sleep=lambda _: None), []

    def write(act: object, mode: Mode) -> Written:
        modes.append(mode)
        raise access.RowRefusedError(category, "a row is at fault")

    monkeypatch.setattr(store, "write", write)
    written = write_by_halves(
        store, range(4), lambda *_: Written(), lambda row, refusal: Written(refused={(row,): refusal})
    )

    assert modes == [Mode.WRITE, *[later] * 6]
    assert written.refused == {(row,): (category, "a row is at fault") for row in range(4)}


def test_a_batch_with_many_bad_rows_can_be_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before each part it is asked whether to stop."""
    looks: list[float] = []
    store = Access(NO_SERVER, "creds", read_only=False, sleep=looks.append)

    def write(act: object, mode: Mode) -> Written:
        raise access.RowRefusedError("refused", "a row is at fault")

    monkeypatch.setattr(store, "write", write)
    write_by_halves(store, range(4), lambda *_: Written(), lambda *_: Written())

    assert looks == [0, 0, 0]
