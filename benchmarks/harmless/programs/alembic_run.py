"""Alembic: upgrades, and the migrations that it proposes."""

import logging
import sys
from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import produce_migrations, render_python_code
from alembic.config import Config
from alembic.migration import MigrationContext

logging.basicConfig(stream=sys.stdout, level=logging.DEBUG, format="%(levelname)-5.5s [%(name)s] %(message)s")
config = Config("alembic.ini", stdout=sys.stdout)
command.init(config, "migrations")
print(Path("alembic.ini").read_text(), Path("migrations/env.py").read_text(), sep="\n")
config.set_main_option("sqlalchemy.url", "sqlite:///app.db")
config.set_main_option("script_location", "migrations")
for number, message in enumerate(("add password_hash", "rename token to token_hash", "drop plaintext secret", "index")):
    command.revision(config, message, rev_id=f"{number + 10:x}5f0c1a9e{number}7")
command.upgrade(config, "head")
command.history(config, verbose=True)
command.upgrade(config, "head", sql=True)
command.downgrade(config, "base")

old, new = sa.MetaData(), sa.MetaData()
columns = "id password_hash api_token session_key token_version reset_token_expires_at secret_ref otp_enabled".split()
for table in ("users", "clients", "service_accounts", "passkeys"):
    sa.Table(table, old, *(sa.Column(name, sa.String(40)) for name in columns[::2]))
    sa.Table(table, new, *(sa.Column(name, sa.String(60), unique=name == "api_token") for name in columns[1:]))
engine = sa.create_engine("sqlite:///app.db")
old.create_all(engine)
with engine.connect() as connection:
    context = MigrationContext.configure(connection)
    migrations = produce_migrations(context, new)
    print(render_python_code(migrations.upgrade_ops), render_python_code(migrations.downgrade_ops))
