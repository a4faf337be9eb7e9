"""Prefect's blocks: `block_document.data`, written and read through its server's own functions.

Key: `PREFECT_SERVER_ENCRYPTION_KEY`, one Fernet key. If it is not set, Prefect makes a key at the first use, and keeps
it in the same database: `configuration.value` where `key = 'ENCRYPTION_KEY'`, as `{"fernet_key": "..."}`.
"""

import asyncio
import os


def write(url, secrets):
    return asyncio.run(_write(_database(url), secrets))


def read(url):
    return asyncio.run(_read(_database(url)))


async def _write(database, secrets):
    from prefect.blocks.system import Secret
    from prefect.server.models.block_documents import create_block_document
    from prefect.server.models.block_registration import register_block_schema, register_block_type
    from prefect.server.schemas.actions import BlockDocumentCreate

    await database.create_db()
    async with database.session_context(begin_transaction=True) as session:
        type_id = await register_block_type(session, Secret._to_block_type())
        schema_id = await register_block_schema(session, Secret._to_block_schema(type_id))
        kind = {"block_type_id": type_id, "block_schema_id": schema_id}
        for name, text in secrets.items():
            await create_block_document(session, BlockDocumentCreate(name=name, data={"value": text}, **kind))
    return await _read(database)


async def _read(database):
    from prefect.server.models.block_documents import read_block_documents

    async with database.session_context() as session:
        blocks = await read_block_documents(session, include_secrets=True)
    return {f"block_document.data/{block.name}": block.data["value"] for block in blocks}


def _database(url):
    # Prefect reads its settings when it is first imported.
    for kind, driver in {"sqlite": "aiosqlite", "postgresql": "asyncpg"}.items():
        url = url.replace(f"{kind}:", f"{kind}+{driver}:")
    os.environ |= {"PREFECT_SERVER_DATABASE_CONNECTION_URL": url, "PREFECT_SERVER_ANALYTICS_ENABLED": "false"}
    from prefect.server.database import provide_database_interface

    return provide_database_interface()
