"""The model in docs/sqlalchemy.md works, and the entry of rotation.toml beside it rotates its table."""

from __future__ import annotations

import importlib
import re
import sys
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from keyring_core import get_keyring
from tests.conftest import NEW, OLD, Cli
from tests.keys import make_key
from tests.project.documents import ROOT, toml

pytestmark = pytest.mark.database

PAGE = (ROOT / "docs" / "sqlalchemy.md").read_text()


def test_the_table_of_the_page_is_rotated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, use_keys: Any, cli: Cli, environ: dict[str, str]
) -> None:
    """Values, tokens with a context and the blind index are right before, between and after."""
    monkeypatch.chdir(tmp_path)
    Path("rotation.toml").write_text(toml(PAGE))
    model, lookup = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)[:2]
    url = f"sqlite:///{tmp_path}/app.db"
    engine = sa.create_engine(url)
    Path("app").mkdir()
    Path("app/models.py").write_text(model)
    monkeypatch.syspath_prepend(tmp_path)
    names = vars(importlib.import_module("app.models"))
    names["Base"].metadata.create_all(engine)
    user = names["User"]

    def found() -> list[tuple[Any, ...]]:
        with Session(engine) as session:
            exec(
                compile(lookup, "sqlalchemy.md", "exec", dont_inherit=True),
                {**names, "session": session, "select": sa.select},
            )
            users = session.scalars(sa.select(user).where(user.email_index == "a@b.c"))
            return [(each.api_key, each.email, each.settings, each.avatar) for each in users]

    use_keys(OLD)
    with Session(engine) as session:
        session.add(user(api_key="sk-live", email="a@b.c", settings={"a": 0}, avatar=b"\0"))
        session.commit()
    use_keys(NEW, OLD)
    expected = [("sk-live", "a@b.c", {"a": 0}, b"\0")]
    assert found() == expected

    ran = cli("run", environ=environ | {"DATABASE_URL": url})

    assert ran.code == 0, ran.out + ran.err
    with engine.connect() as connection:
        [(api_key, email, index)] = connection.execute(sa.text("SELECT api_key, email, email_index FROM users"))
    assert get_keyring().bind("users.api_key").key_for(api_key) == get_keyring().bind("users.api_key").primary
    assert get_keyring().key_for(email) == make_key(NEW)
    assert index.startswith(make_key(NEW).id)
    assert found() == expected
    engine.dispose()
    for name in ("app", "app.models"):
        del sys.modules[name]
