"""A service that keeps API keys of other services, encrypted: FastAPI and SQLAlchemy's asyncio."""

import os
from contextlib import asynccontextmanager

from fastapi import FastAPI, HTTPException
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from keyring_core import configure_logging, log_key_status
from keyring_core.integrations.pydantic import EncryptedStr
from keyring_core.integrations.sqlalchemy import EncryptedText


class Base(DeclarativeBase):
    """The base of all tables."""


class Connection(Base):
    """How to reach another service."""

    __tablename__ = "connections"
    name: Mapped[str] = mapped_column(primary_key=True)
    api_key: Mapped[str] = mapped_column(EncryptedText)


class NewConnection(BaseModel):
    """The body of a request. Its api_key is a Secret: no repr and no log shows it."""

    name: str
    api_key: EncryptedStr


@asynccontextmanager
async def lifespan(app: FastAPI):
    """What runs when the service starts, and not when keyring-rotate imports the module for its tables."""
    configure_logging()  # first: from here on logs mask keys, tokens and credentials
    log_key_status()
    app.state.engine = create_async_engine(os.environ["DATABASE_URL"])
    async with app.state.engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    yield


app = FastAPI(lifespan=lifespan)


@app.post("/connections", status_code=201)
async def store(new: NewConnection) -> None:
    async with AsyncSession(app.state.engine) as session, session.begin():
        session.add(Connection(**dict(new)))


@app.get("/connections/{name}")
async def show(name: str) -> dict[str, str]:
    async with AsyncSession(app.state.engine) as session:
        if (connection := await session.get(Connection, name)) is None:
            raise HTTPException(404)
    return {"name": name, "api_key": f"...{connection.api_key[-4:]}"}
