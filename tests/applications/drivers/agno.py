"""Agno's OAuth tokens: `agno_auth_tokens.token_data`, as `{"encrypted": token}`, written and read by its managers.

Keys: `XAI_TOKEN_ENCRYPTION_KEY` for rows of xAI, also of unfinished logins; `GOOGLE_TOKEN_ENCRYPTION_KEY` for
the row of Google. Each is one Fernet key. The table is in the schema `ai` on PostgreSQL.
"""

import os

from agno.db.postgres import PostgresDb
from agno.db.sqlite import SqliteDb
from agno.tools.google.auth.tokens import load_token_from_db, save_token_to_db
from agno.tools.xai_auth import XAIAuth
from google.oauth2.credentials import Credentials

PLACE = "agno_auth_tokens.token_data"
# Google has one row, with these secrets.
FIELDS = {"first": "token", "second": "refresh_token", "third": "client_secret"}


def write(url, secrets):
    db = _database(url)
    xai, logins = _xai(db)
    for name, text in secrets.items():
        xai._save({"access_token": text, "expires_at": 0}, user_id=name)
        logins._stash(name, {"device_code": text})
    google = {FIELDS[name]: text for name, text in secrets.items()}
    row = Credentials(**google, client_id="client", token_uri="https://localhost")
    assert save_token_to_db(db, row, ["openid"], os.environ["GOOGLE_TOKEN_ENCRYPTION_KEY"])
    return _texts(db, secrets)


def read(url):
    return _texts(_database(url), FIELDS)


def _texts(db, names):
    """As the application reads them: under another key an error for a user of xAI, and nothing for the others."""
    xai, logins = _xai(db)
    _, google = load_token_from_db(db, os.environ["GOOGLE_TOKEN_ENCRYPTION_KEY"])
    texts = {}
    for name in names:
        texts[f"{PLACE} of xai/{name}"] = xai._load(name)["access_token"]
        texts[f"{PLACE} of a login at xai/{name}"] = logins._read_pending(name)["device_code"]
        texts[f"{PLACE} of google/{name}"] = getattr(google, FIELDS[name])
    return texts


def _xai(db):
    tools = XAIAuth(db=db)
    return tools.token_manager, tools


def _database(url):
    if url.startswith("sqlite"):
        return SqliteDb(db_url=url)
    return PostgresDb(db_url=url.replace("postgresql:", "postgresql+psycopg:"))
