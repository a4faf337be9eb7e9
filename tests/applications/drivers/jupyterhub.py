"""JupyterHub's auth state: `users.encrypted_auth_state`, written and read through its own users.

Key: `JUPYTERHUB_CRYPT_KEY`, 32 bytes as 64 hex digits, as base64 or raw. Several keys stand with `;` between them, and
the first one encrypts. Under several keys a read writes the cell again, so read with the new key alone.
"""

import asyncio

from jupyterhub import orm
from jupyterhub.user import User

PLACE = "users.encrypted_auth_state"


def write(url, secrets):
    async def save():
        with _session(url) as session:
            for name, text in secrets.items():
                row = orm.User(name=name)
                session.add(row)
                await User(row).save_auth_state({"access_token": text})

    asyncio.run(save())
    return {f"{PLACE}/{name}": text for name, text in secrets.items()}


def read(url):
    async def load():
        with _session(url) as session:
            users = [User(row) for row in session.query(orm.User)]
            return {f"{PLACE}/{user.name}": (await user.get_auth_state() or {}).get("access_token") for user in users}

    return asyncio.run(load())


def _session(url):
    return orm.new_session_factory(url.replace("postgresql:", "postgresql+psycopg2:"))()
