"""Fief's OAuth secrets: `fief_oauth_providers.client_id`, `.client_secret`, `fief_oauth_accounts.access_token`,
`.refresh_token`, written and read through its models.

Key: `ENCRYPTION_KEY`, one Fernet key. Fief has a field type of SQLAlchemy-Utils, without its derivation.
"""

import os

# Without these its settings do not load.
os.environ |= {"SECRET": "signs sessions alone", "FIEF_CLIENT_ID": "none", "FIEF_CLIENT_SECRET": "none"}

from fief.models import Base, OAuthAccount, OAuthProvider, Tenant
from sqlalchemy import create_engine, select
from sqlalchemy.orm import Session


def write(url, secrets):
    engine = _engine(url)
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        tenant = Tenant(name="tenant", slug="tenant", sign_jwk="{}")
        for name, text in secrets.items():
            provider = OAuthProvider(provider="GITHUB", name=name, client_id=text, client_secret=text)
            tokens = {"access_token": text, "refresh_token": text}
            session.add(OAuthAccount(account_id=name, oauth_provider=provider, tenant=tenant, **tokens))
        session.commit()
    return read(url)


def read(url):
    """As the application reads them: under another key InvalidToken for the whole query."""
    texts = {}
    with Session(_engine(url)) as session:
        for provider in session.scalars(select(OAuthProvider)):
            for column in ("client_id", "client_secret"):
                texts[f"fief_oauth_providers.{column}/{provider.name}"] = getattr(provider, column)
        for account in session.scalars(select(OAuthAccount)):
            for column in ("access_token", "refresh_token"):
                texts[f"fief_oauth_accounts.{column}/{account.account_id}"] = getattr(account, column)
    return texts


def _engine(url):
    return create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
