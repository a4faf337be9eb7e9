"""An ASGI service, for uvicorn. Its lifespan announces its keys, and ends that: uvicorn ends by a signal."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from rotation.fleet import stop_announcing
from tests.served.reader import keep, open_token


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    """Announces the keys as long as the service runs."""
    await asyncio.to_thread(keep)
    yield
    await asyncio.to_thread(stop_announcing)


app = FastAPI(lifespan=lifespan)


@app.get("/")
async def read() -> int:
    """The id of the process that opened the token."""
    return open_token()
