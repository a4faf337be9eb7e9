"""A Celery worker whose jobs bring tokens along, and which announces its keys."""

from __future__ import annotations

import os

from celery import Celery
from celery.signals import setup_logging, worker_process_init, worker_process_shutdown

from keyring_core import configure_logging, get_encryption_service, keyring_status
from keyring_core.reload import KeyringStatus
from rotation import fleet

fleet.SECONDS = 0.1
app = Celery("jobs", broker=os.environ["BROKER"], backend=os.environ["BROKER"])
app.conf.task_default_queue = "now"


@setup_logging.connect
def log(**_: object) -> None:
    """In place of Celery's own set-up of logging."""
    configure_logging()


@worker_process_init.connect
def begin(**_: object) -> None:
    """In each process of the pool, which is an instance of its own."""
    get_encryption_service()
    fleet.keep_announcing(instance="worker")


@worker_process_shutdown.connect
def end(**_: object) -> None:
    """Celery ends these processes without Python's exit handlers."""
    fleet.stop_announcing()


@app.task
def deliver(token: str) -> str:
    """The end of the credential that the job brought."""
    return get_encryption_service().decrypt(token)[-4:]


@app.task
def health() -> KeyringStatus:
    """The status of the worker's keys."""
    return keyring_status()
