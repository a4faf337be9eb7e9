"""Cells of every size that a database holds: a run moves them, or names the row and the reason, and always ends."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.databases import Database
from tests.processes import start
from tests.proxy import through_proxy
from tests.stores.tokens import make_token, secrets_of

pytestmark = pytest.mark.database


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_a_swap_larger_than_the_network_takes_at_once_arrives(
    database: Database, environ: dict[str, str], tmp_path: Path
) -> None:
    """Blocks of some megabytes: nobody waits for an answer while the server waits for the rest."""
    secrets = [f"{number:030000}" for number in range(300)]
    database.make_creds([make_token(secret) for secret in secrets])

    with (
        through_proxy(database.url, narrow=True) as proxy,
        start(replace(database, url=proxy.url), environ, tmp_path, "--gentle") as command,
    ):
        code, document = command.end()

    assert (code, document["targets"][0]["rotated"]) == (0, 300)
    assert secrets_of(cell for _, cell in sorted(database.column().items())) == secrets
