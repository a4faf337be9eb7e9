"""Phoenix's secrets: `secrets.value` and `generative_model_custom_providers.config`.

Secret: `PHOENIX_SECRET`, 32 or more characters, from which the key is derived; without it, from the empty text.
Phoenix's migrations make the schema; its models and its encryption service write and read.
"""

import asyncio
import json

from phoenix.config import get_env_phoenix_secret
from phoenix.db import models
from phoenix.db.engines import create_engine
from phoenix.server.encryption import EncryptionService
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession


def write(url, secrets):
    engine = create_engine(url, migrate=True, log_migrations=False)
    asyncio.run(_write(engine, secrets))
    return read(url)


def read(url):
    return asyncio.run(_read(create_engine(url, migrate=False)))


async def _write(engine, secrets):
    encrypt = EncryptionService(get_env_phoenix_secret()).encrypt
    async with AsyncSession(engine) as session:
        for name, text in secrets.items():
            config = json.dumps({"openai_authentication_method": {"type": "api_key", "api_key": text}})
            session.add(models.Secret(key=name, value=encrypt(text.encode())))
            session.add(
                models.GenerativeModelCustomProvider(
                    name=name, provider="openai", sdk="openai", config=encrypt(config.encode())
                )
            )
        await session.commit()
    await engine.dispose()


async def _read(engine):
    """As the application reads them: under another key ValueError."""
    decrypt = EncryptionService(get_env_phoenix_secret()).decrypt
    texts = {}
    async with AsyncSession(engine) as session:
        for row in await session.scalars(select(models.Secret)):
            texts[f"secrets.value/{row.key}"] = decrypt(row.value).decode()
        for row in await session.scalars(select(models.GenerativeModelCustomProvider)):
            config = json.loads(decrypt(row.config))
            texts[f"generative_model_custom_providers.config/{row.name}"] = config["openai_authentication_method"][
                "api_key"
            ]
    await engine.dispose()
    return texts
