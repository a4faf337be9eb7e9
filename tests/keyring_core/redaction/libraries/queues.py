"""Celery and kombu: tasks, their arguments and messages in the log of a worker, in errors and objects."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from typing import Any

import celery
import celery.app.log
import kombu
import kombu.exceptions
import kombu.serialization
from celery.exceptions import Retry
from celery.utils.log import get_task_logger

from tests.keyring_core.redaction.leaks.case import World
from tests.keyring_core.redaction.libraries.ways import Tables, Way

cases = Tables(__name__)


def made() -> celery.Celery:
    app = celery.Celery("app", broker="memory://", backend="cache+memory://", set_as_current=True)
    app.conf.worker_hijack_root_logger = False
    app.conf.broker_transport_options = {"polling_interval": 0.01}
    app.conf.broker_connection_retry_on_startup = False
    return app


def run(body: Callable[..., Any]) -> Any:
    """A task, run here as a worker traces it."""
    return made().task(name="cells.rotate", bind=True, throws=(KeyError,), max_retries=1)(body).apply()


def raising(text: Callable[[World], str], error: type[Exception] = ValueError) -> Way:
    def body_of(world: World) -> Callable[..., Any]:
        def body(self: Any, *_: Any, **__: Any) -> None:
            raise error(text(world))

        return body

    return lambda world: run(body_of(world))


def returning(value: Callable[[World], Any]) -> Way:
    def way(world: World) -> Any:
        def body(self: Any) -> Any:
            return value(world)

        return run(body)

    return way


def logging_task(world: World) -> None:
    log = get_task_logger("cells")
    returning(lambda w: log.info("headers %s", {"X-Api-Key": w.unknown}))(world)


def retrying(world: World) -> None:
    def body(self: Any) -> None:
        raise self.retry(exc=ValueError(f"token={world.unknown}"), countdown=0)

    run(body)


def own_logging(world: World) -> None:
    """A task's logger with Celery's own handler and format."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(celery.app.log.TaskFormatter("%(task_name)s[%(task_id)s]: %(message)s"))
    log = get_task_logger("formatted")
    log.handlers, log.propagate = [handler], False
    returning(lambda w: log.error(f"cannot open mysql://bob:{w.unknown}@h"))(world)


def redirected(world: World) -> None:
    """What a task prints goes to a logger."""
    app = made()
    old = sys.stdout, sys.stderr
    try:
        app.log.redirect_stdouts_to_logger(logging.getLogger("printed"), stderr=False)
        sys.stdout.write(f"password={world.unknown}\n")
    finally:
        sys.stdout, sys.stderr = old


cases.logs(
    "celery",
    {
        "raised": raising(lambda w: f"password={w.unknown}"),
        "raised_key": raising(lambda w: w.key),
        "expected": raising(lambda w: f"token={w.unknown}", KeyError),
        "ignored": raising(lambda w: f"token={w.unknown}", celery.exceptions.Ignore),
        "rejected": raising(lambda w: f"token={w.unknown}", celery.exceptions.Reject),
        "retried": retrying,
        "returned": returning(lambda w: f"mysql://bob:{w.unknown}@h"),
        "returned_dict": returning(lambda w: {"access_token": w.unknown}),
        "returned_key": returning(lambda w: w.raw),
        "task_logger": logging_task,
        "task_formatter": own_logging,
        "printed": redirected,
    },
)


def put(app: celery.Celery, body: Any, **options: Any) -> None:
    """A message that is no task."""
    with app.connection_for_write() as connection, connection.channel() as channel:
        queue = app.amqp.queues["celery"]
        given = {"content_encoding": "utf-8"} if options else {"serializer": "json"}
        kombu.Producer(channel).publish(
            body, exchange=queue.exchange, routing_key=queue.routing_key, declare=[queue], **given, **options
        )


def sent(*args: Any, **options: Any) -> None:
    made().send_task("cells.rotate", args, **options)


def not_registered(world: World) -> None:
    """A task of that name is asked for."""
    app = celery.Celery("app", set_as_current=False)
    app.tasks[world.plaintext]


cases.errors(
    "kombu",
    {
        "encode": lambda w: sent(type(f"x{w.raw.hex()}", (), {})()),
        "serializer": lambda w: sent("x", serializer=w.plaintext),
        "compression": lambda w: sent("x", compression=w.plaintext),
        "transport": lambda w: kombu.Connection(f"htp{w.raw.hex()}://bob@h").connect(),
        "content": lambda w: kombu.serialization.loads("x", w.plaintext, "utf-8", accept=["json"]),
        "port": lambda w: kombu.Connection(f"amqp://bob:x@h:{w.plaintext}/"),
        "setting": lambda w: getattr(made().conf, w.plaintext),
        "not_registered": not_registered,
        "result": lambda w: result(w).get(timeout=1),
        "retry": lambda w: raise_(Retry(f"password={w.unknown}", ValueError(w.key), 3)),
    },
)


def raise_(error: Exception) -> None:
    raise error


def result(world: World) -> Any:
    """The result of a task that failed elsewhere."""
    app = made()
    app.backend.store_result("i", ValueError(f"token={world.unknown}"), "FAILURE", traceback=f"line of {world.key}")
    return app.AsyncResult("i")


cases.texts(
    "kombu",
    {
        "connection": lambda w: kombu.Connection(f"amqp://bob:{w.unknown}@h/").as_uri(include_password=True),
        "connection_fields": lambda w: kombu.Connection(f"amqp://bob:{w.unknown}@h/").info(),
        "failover": lambda w: kombu.Connection(f"amqp://a:x@h/;amqp://b:{w.unknown}@h/").alt,
        "config": lambda w: _configured(w).conf.broker_url,
        "config_redis": lambda w: _configured(w, redis_password=w.unknown).conf.changes,
        "signature": lambda w: celery.signature("cells.rotate", kwargs={"password": w.unknown}),
        "signature_text": lambda w: repr(celery.signature("cells.rotate", args=(w.key,))),
        "chain": lambda w: celery.chain(celery.signature("a", kwargs={"api_key": w.unknown}), celery.signature("b")),
        "message": lambda w: dict(celery.signature("a", kwargs={"token": w.unknown})),
    },
)


def _configured(world: World, **options: Any) -> celery.Celery:
    app = made()
    app.conf.update(broker_url=f"amqp://bob:{world.unknown}@h/", **options)
    return app
