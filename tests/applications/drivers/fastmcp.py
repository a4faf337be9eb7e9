"""A store of FastMCP in PostgreSQL: `kv_store.value`, through py-key-value, which FastMCP keeps OAuth tokens with.

Key: the arguments `source_material`, any text, and `salt` of FernetEncryptionWrapper. It has no variables for them:
here they are `FASTMCP_SOURCE_MATERIAL` and `FASTMCP_SALT`.
"""

import asyncio
import os

from key_value.aio.stores.postgresql import PostgreSQLStore
from key_value.aio.wrappers.encryption import FernetEncryptionWrapper

COLLECTION = "mcp-upstream-tokens"


def write(url, secrets):
    async def save():
        async with PostgreSQLStore(url=url) as store:
            wrapper = _encrypted(store)
            for name, text in secrets.items():
                await wrapper.put(name, {"access_token": text, "scope": "openid"}, collection=COLLECTION)
            return await _texts(wrapper, secrets)

    return asyncio.run(save())


def read(url):
    async def load():
        async with PostgreSQLStore(url=url) as store:
            return await _texts(_encrypted(store), ("first", "second", "third"))

    return asyncio.run(load())


async def _texts(wrapper, names):
    """As the application reads them: under another key DecryptionError."""
    values = {name: await wrapper.get(name, collection=COLLECTION) for name in names}
    return {f"kv_store.value/{name}": value["access_token"] for name, value in values.items()}


def _encrypted(store):
    secrets = {"source_material": os.environ["FASTMCP_SOURCE_MATERIAL"], "salt": os.environ["FASTMCP_SALT"]}
    return FernetEncryptionWrapper(store, **secrets)
