"""A FastAPI service that stores credentials as tokens, opens tokens that it is given, and announces its keys."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import sqlalchemy as sa
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel

from keyring_core import SuspendedKey, configure_logging, get_encryption_service, keyring_status
from rotation import fleet

fleet.SECONDS = 0.1
engine = sa.create_engine(os.environ["DATABASE_URL"])
credentials = sa.Table(
    "credentials",
    sa.MetaData(),
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("token", sa.Text, nullable=False),
)


class Text(BaseModel):
    """What a request brings: a credential, or a token."""

    text: str


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    """Reads the keys, and announces them as long as the service runs."""
    configure_logging()
    get_encryption_service()
    fleet.keep_announcing(instance="web")
    await asyncio.to_thread(credentials.metadata.create_all, engine)
    yield


app = FastAPI(lifespan=lifespan)


@app.get("/health")
def health() -> dict[str, object]:
    """The status of its keys."""
    return {**keyring_status()}


@app.post("/credentials")
def store(given: Text) -> int:
    """Stores a credential, and returns its number."""
    with engine.begin() as connection:
        row = credentials.insert().values(token=get_encryption_service().encrypt(given.text))
        return int(connection.execute(row).inserted_primary_key[0])


@app.get("/credentials/{number}")
def show(number: int) -> str:
    """The credential with that number."""
    with engine.connect() as connection:
        return get_encryption_service().decrypt(
            connection.scalar(sa.select(credentials.c.token).where(credentials.c.id == number))
        )


@app.post("/seal")
def seal(given: Text) -> str:
    """A token for a credential, which a job is to bring somewhere."""
    return get_encryption_service().encrypt(given.text)


@app.post("/open")
def open_token(given: Text) -> str:
    """The credential in a token; 423 (locked) if its key is suspended."""
    try:
        return get_encryption_service().decrypt(given.text)
    except SuspendedKey as error:
        raise HTTPException(423, str(error)) from None
