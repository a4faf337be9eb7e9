"""Secrets of datasette-secrets: `datasette_secrets.encrypted`, written and read through Datasette's own pages.

Key: `encryption-key` in the configuration of the plugin, one Fernet key; usually `$env` of a variable, here
`DATASETTE_SECRETS_ENCRYPTION_KEY`.
"""

import asyncio
import os

from datasette import hookimpl
from datasette.app import Datasette
from datasette.database import Database
from datasette.plugins import pm
from datasette_secrets import Secret, get_secret


def write(url, secrets):
    async def save():
        datasette = await _started(url, secrets)
        cookies = {"ds_actor": datasette.sign({"a": {"id": "root"}}, "actor")}
        for name, text in secrets.items():
            path = f"/-/secrets/{name}"
            page = await datasette.client.get(path, cookies=cookies)
            token = page.cookies["ds_csrftoken"]
            form = {"secret": text, "note": "", "csrftoken": token}
            done = await datasette.client.post(path, data=form, cookies={**cookies, "ds_csrftoken": token})
            assert done.status_code == 302, done.text
        return await _texts(datasette, secrets)

    return asyncio.run(save())


def read(url):
    async def load():
        names = ("first", "second", "third")
        return await _texts(await _started(url, names), names)

    return asyncio.run(load())


async def _texts(datasette, names):
    """As plugins read them: under another key InvalidToken."""
    return {f"datasette_secrets.encrypted/{name}": await get_secret(datasette, name) for name in names}


async def _started(url, names):
    class Plugin:
        __name__ = "asks_for_secrets"

        @hookimpl
        def register_secrets(self):
            return [Secret(name) for name in names]

        @hookimpl
        def permission_allowed(self, action):
            return action == "manage-secrets" or None

    pm.register(Plugin())
    plugin = {"database": "test", "encryption-key": os.environ["DATASETTE_SECRETS_ENCRYPTION_KEY"]}
    datasette = Datasette(metadata={"plugins": {"datasette-secrets": plugin}})
    datasette.add_database(Database(datasette, path=url.removeprefix("sqlite:///"), is_mutable=True), name="test")
    await datasette.invoke_startup()
    return datasette
