"""The code of docs/how-to/queues-and-caches.md, on a real Redis with jobs of Celery and RQ in it."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import pytest
import rq
from celery import Celery
from redis import Redis

from keyring_core import Keyring, get_keyring
from tests.databases import empty_redis, redis_url
from tests.keys import key_text, make_key
from tests.project.documents import ROOT, page_blocks

# One database of the server, and everything in it is counted.
pytestmark = [pytest.mark.database, pytest.mark.xdist_group("redis-tokens")]

URL = redis_url(9)
[LOOK] = (
    block.text
    for block in page_blocks((ROOT / "docs" / "how-to" / "queues-and-caches.md").read_text())
    if block.language == "python"
)
OLD, NEW = make_key("old"), make_key("new")


@pytest.fixture
def redis() -> Iterator[Redis]:
    """A database of the server that holds nothing."""
    with empty_redis(9) as connection:
        yield connection


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The service's keys: a new primary key, and the old one."""
    monkeypatch.setenv("ENCRYPTION_KEY", key_text("new"))
    monkeypatch.setenv("ENCRYPTION_PREVIOUS_KEYS", key_text("old"))
    get_keyring.reset()
    yield
    get_keyring.reset()


def run(code: str) -> dict[str, Any]:
    """What a block of the page defines."""
    names: dict[str, Any] = {"__name__": "page"}
    exec(compile(code, "queues-and-caches.md", "exec", dont_inherit=True), names)
    return names


@pytest.mark.usefixtures("service")
def test_tokens_are_counted_wherever_redis_holds_them(redis: Redis, capsys: pytest.CaptureFixture[str]) -> None:
    """Celery's messages, RQ's compressed jobs, and values of every type; a token that is there twice counts once."""
    old, new, other = Keyring(OLD), Keyring(NEW), Keyring(make_key("other"))
    with Celery("tasks", broker=URL).connection_for_write() as broker:
        app = Celery("tasks", broker=URL)
        app.send_task("tasks.call", args=[old.encrypt("sk-live-1")], connection=broker)
    rq.Queue("jobs", connection=redis).enqueue("tasks.call", old.encrypt("sk-live-2"))
    redis.set("cache:1", new.encrypt("x"))
    redis.rpush("cache:list", new.encrypt("x"), "text")
    redis.sadd("cache:set", new.encrypt("x"))
    redis.zadd("cache:zset", {new.encrypt("x"): 1})
    redis.hset("cache:hash", new.encrypt("x"), base64.b64encode(new.encrypt("x").encode()).decode())
    redis.xadd("cache:stream", {"field": old.encrypt("sk-live-3")})
    shared = other.encrypt("x")
    redis.set("theirs:1", shared)
    redis.set("theirs:2", f'{{"token": "{shared}"}}')

    run(LOOK)["main"](URL)

    assert capsys.readouterr().out == (
        f"{NEW.id} primary: 6 tokens in cache\n"
        f"{OLD.id} previous: 3 tokens in cache, celery, rq\n"
        "no key here: 1 token in theirs\n"
    )
