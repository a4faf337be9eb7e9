"""A task that uses a stored API key, and a command that stores one: Celery and SQLAlchemy."""

import os
import sys

import structlog
from celery import Celery
from celery.signals import setup_logging
from sqlalchemy import create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from keyring_core import configure_logging, log_key_status
from keyring_core.integrations.sqlalchemy import EncryptedText

log = structlog.get_logger(__name__)
# A broker and a backend that need no server: folders. A service names its own.
app = Celery("tasks", broker="filesystem://", backend="file://results")
app.conf.broker_transport_options = {"data_folder_in": "queue", "data_folder_out": "queue"}
app.conf.task_always_eager = "EAGER" in os.environ  # runs a task at once, in the process that asks for it
engine = create_engine(os.environ["DATABASE_URL"])


class Base(DeclarativeBase):
    """The base of all tables."""


class Connection(Base):
    """How to reach another service."""

    __tablename__ = "connections"
    name: Mapped[str] = mapped_column(primary_key=True)
    api_key: Mapped[str] = mapped_column(EncryptedText)


@setup_logging.connect
def start(**_signal: object) -> None:
    """What a worker runs in place of Celery's own set-up of logging."""
    configure_logging()  # first: from here on logs mask keys, tokens and credentials
    log_key_status()


@app.task
def call(name: str) -> str:
    """Calls the other service. A broker stores arguments, and a backend results: neither holds a key here."""
    with Session(engine) as session:
        api_key = session.get_one(Connection, name).api_key
    log.info("connection.called", name=name, headers={"Authorization": f"Bearer {api_key}"})
    return f"called with ...{api_key[-4:]}"


if __name__ == "__main__":  # python tasks.py store NAME < FILE, python tasks.py call NAME
    configure_logging()
    command, connection = sys.argv[1:]
    if command == "store":
        Base.metadata.create_all(engine)
        with Session(engine) as session, session.begin():
            session.add(Connection(name=connection, api_key=sys.stdin.read().strip()))
    else:
        print(call.delay(connection).get(timeout=60))
