"""Makes what a service would have, if it is not there: a key, and a table of credentials under it. See compose.yaml."""

import os
from pathlib import Path

import sqlalchemy as sa

from keyring_core import Key, Keyring

ROWS = 1200
CUT = 812
"""The row whose token was cut, as a column that is too narrow would do it."""
CREATE = "CREATE TABLE user_credentials (id integer PRIMARY KEY, api_key text, refresh_token text)"
INSERT = "INSERT INTO user_credentials VALUES (:id, :api_key, :refresh_token)"


def seed(url: str, primary: Path, *others: Path) -> None:
    """Writes a key into *primary*, empty files for *others*, and the table."""
    if not primary.exists():
        for path in (primary, *others):
            path.touch(0o600)
        primary.write_text(Key.generate().reveal())
    keyring = Keyring.from_env()
    engine = sa.create_engine(url, hide_parameters=True)
    with engine.begin() as connection:
        if not sa.inspect(connection).has_table("user_credentials"):
            connection.exec_driver_sql(CREATE)
            connection.execute(sa.text(INSERT), [row(keyring, number) for number in range(1, ROWS + 1)])


def row(keyring: Keyring, number: int) -> dict[str, object]:
    """A user's credentials; every third user has no refresh token."""
    api_key = keyring.encrypt(f"sk-live-{number}")
    return {
        "id": number,
        "api_key": api_key[:64] if number == CUT else api_key,
        "refresh_token": keyring.encrypt(f"1//{number}") if number % 3 else None,
    }


if __name__ == "__main__":
    names = ("KEY", "PREVIOUS_KEYS", "STAGED_KEY", "SUSPENDED_KEYS")
    seed(os.environ["DATABASE_URL"], *(Path(os.environ[f"ENCRYPTION_{name}_FILE"]) for name in names))
