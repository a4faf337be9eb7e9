"""A Celery worker: announced when its module is loaded or, as docs/how-to/celery.md has it, in each process."""

from __future__ import annotations

import os

from celery import Celery
from celery.signals import setup_logging, worker_process_init, worker_process_shutdown

from rotation.fleet import stop_announcing
from tests.served.reader import do_job, keep

app = Celery("served", broker=os.environ["BROKER"])
app.conf.task_default_queue = "served"
# In place of Celery's own logging.
setup_logging.connect(lambda **_: None, weak=False)
if "IN_EACH_PROCESS" in os.environ:
    worker_process_init.connect(lambda **_: keep(), weak=False)
else:
    keep()
worker_process_shutdown.connect(lambda **_: stop_announcing(), weak=False)


@app.task
def read() -> None:
    """Opens the token."""
    do_job()
