"""Celery: a worker's start, its tasks and its report."""

import logging
import sys

from celery import Celery
from celery.contrib.testing.worker import start_worker
from celery.utils.log import get_task_logger

application = Celery("accounts", broker="memory://", backend="cache+memory://")
application.conf.worker_redirect_stdouts = False
logger = get_task_logger("accounts.tasks")


@application.task(name="accounts.tasks.send_password_reset_mail", bind=True, max_retries=2, default_retry_delay=0)
def send_password_reset_mail(self: object, user_id: int) -> str:
    logger.info("password reset mail for user_id=%d queued", user_id)
    if user_id % 4 == 0:
        raise ConnectionError(f"SMTP: authentication failed for user_id={user_id}: password expired")
    return f"sent {user_id}"


@application.task(name="accounts.tasks.rotate_api_tokens")
def rotate_api_tokens(batch: int) -> dict[str, int]:
    logger.warning("rotating tokens of batch %d; secret manager answered in %.1f ms", batch, batch * 1.5)
    return {"tokens": batch, "secrets": 0}


@application.task(name="accounts.tasks.purge_expired_tokens")
def purge_expired_tokens(before: str) -> None:
    raise KeyError("token_table")


logging.basicConfig(stream=sys.stdout, level=logging.DEBUG, format="[%(asctime)s: %(levelname)s/%(name)s] %(message)s")
with start_worker(application, perform_ping_check=False, loglevel="DEBUG"):
    for number in range(8):
        for task, argument in (
            (send_password_reset_mail, number),
            (rotate_api_tokens, number),
            (purge_expired_tokens, "2026-01-01"),
        ):
            try:
                task.delay(argument).get(timeout=10, interval=0.02)
            except Exception as error:
                print(repr(error))
application.bugreport()
print(application.conf.humanize(with_defaults=True), application.amqp.queues, application.tasks, sep="\n")
