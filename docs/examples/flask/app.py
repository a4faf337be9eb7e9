"""A service that keeps API keys of other services, encrypted: Flask and Flask-SQLAlchemy."""

import os

import structlog
from flask import Flask, request
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from keyring_core import configure_logging, log_key_status
from keyring_core.integrations.sqlalchemy import EncryptedText

log = structlog.get_logger(__name__)


class Base(DeclarativeBase):
    """The base of all tables."""


db = SQLAlchemy(model_class=Base)


class Connection(db.Model):
    """How to reach another service."""

    __tablename__ = "connections"

    name: Mapped[str] = mapped_column(primary_key=True)
    api_key: Mapped[str] = mapped_column(EncryptedText)


def create_app() -> Flask:
    """What `flask run` calls. keyring-rotate only imports the module, for its tables."""
    configure_logging()  # first: from here on logs mask keys, tokens and credentials
    log_key_status()
    app = Flask(__name__)
    app.config["SQLALCHEMY_DATABASE_URI"] = os.environ["DATABASE_URL"]
    db.init_app(app)
    with app.app_context():
        db.create_all()

    @app.post("/connections")
    def store() -> tuple[dict[str, str], int]:
        connection = Connection(name=request.json["name"], api_key=request.json["api_key"])
        db.session.add(connection)
        db.session.commit()
        log.info("connection.stored", name=connection.name)
        return {"name": connection.name}, 201

    @app.get("/connections/<name>")
    def show(name: str) -> dict[str, str]:
        connection = db.get_or_404(Connection, name)
        return {"name": connection.name, "api_key": f"...{connection.api_key[-4:]}"}

    return app
