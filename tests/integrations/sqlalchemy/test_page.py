"""docs/how-to/sqlalchemy.md does what it shows."""

from __future__ import annotations

import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from types import ModuleType

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from keyring_core import Keyring, get_keyring
from tests.examples.typed import Typist
from tests.project.documents import ROOT, page_blocks

PAGE = (ROOT / "docs" / "how-to" / "sqlalchemy.md").read_text()
MODELS, _, LOOKUPS, SQLMODEL, _ = (block.text for block in page_blocks(PAGE) if block.language == "python")


@pytest.mark.database
@pytest.mark.timeout(600)
@pytest.mark.costly("each command of the page imports the models, and SQLAlchemy with them")
def test_every_cell_of_the_page_is_under_the_new_key(tmp_path: Path) -> None:
    """Tokens with a context, without one, and the blind index: each of the row's cells is under the new key alone."""
    folder = tmp_path / "app"
    folder.mkdir()
    with Typist(folder, {}, {}) as typist:
        for _block in typist.type(PAGE):
            pass

    ring = Keyring((folder / "keys" / "primary").read_text().strip())
    with closing(sqlite3.connect(folder / "app.db")) as database:
        [(api_key, email, index)] = database.execute("SELECT api_key, email, email_index FROM users")
    assert ring.bind("users.api_key").decrypt(api_key) == "sk-live-Zq3vK9tLxW7eRb-4242"
    assert ring.decrypt(email) == "a@b.c"
    assert index.startswith(ring.primary.id)


@pytest.mark.parametrize(("model", "table", "column"), [(MODELS, "User", "email"), (SQLMODEL, "Account", "secret")])
def test_the_models_of_the_page_store_tokens(
    model: str, table: str, column: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The column holds a token of what the object holds; the page's lookups are statements that run."""
    # Python looks up the annotations of a mapped class in its module.
    monkeypatch.setitem(sys.modules, "page", module := ModuleType("page"))
    exec(compile(model, "sqlalchemy.md", "exec", dont_inherit=True), names := vars(module))
    engine = sa.create_engine("sqlite://")
    names[table].metadata.create_all(engine)
    with Session(engine) as session:
        row = names[table](**{column: "a@b.c"})
        session.add(row)
        session.commit()
        if table == "User":
            exec(LOOKUPS, {**names, "session": session, "select": sa.select})
        [cell] = session.scalars(sa.text(f"SELECT {column} FROM {names[table].__tablename__}"))

        assert getattr(row, column) == get_keyring().decrypt(cell) == "a@b.c"
    engine.dispose()
