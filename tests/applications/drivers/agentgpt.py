"""AgentGPT's OAuth tokens: `oauth_credentials.access_token_enc` and `.refresh_token_enc`.

Key: `REWORKD_PLATFORM_SECRET_SIGNING_KEY`, a Fernet key; without it, a public default. There is one.
AgentGPT is no package: this is reworkd-platform-ollama, a fork whose models and `services/security.py` are the same.
The table is the one that Prisma makes of next/prisma/schema.prisma: these models alone make none on MySQL.
"""

from reworkd_platform.db.models.auth import OauthCredentials
from reworkd_platform.services.security import encryption_service
from sqlalchemy import create_engine, select, text
from sqlalchemy.orm import Session

TABLE = """
CREATE TABLE oauth_credentials (
    id VARCHAR(191) NOT NULL,
    user_id VARCHAR(191) NOT NULL,
    organization_id VARCHAR(191),
    provider VARCHAR(191) NOT NULL,
    state VARCHAR(191) NOT NULL,
    redirect_uri VARCHAR(191) NOT NULL,
    token_type VARCHAR(191),
    access_token_enc TEXT,
    access_token_expiration DATETIME(3),
    refresh_token_enc TEXT,
    scope VARCHAR(191),
    create_date DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
    update_date DATETIME(3),
    delete_date DATETIME(3),
    PRIMARY KEY (id)
) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci
"""
COLUMNS = ("access_token_enc", "refresh_token_enc")


def write(url, secrets):
    with _session(url) as session:
        session.execute(text(TABLE))
        session.add(_installation("begun, and no tokens yet"))
        for name, secret in secrets.items():
            tokens = {column: encryption_service.encrypt(secret) for column in COLUMNS}
            session.add(_installation(name, **tokens))
        session.commit()
        return _texts(session)


def read(url):
    with _session(url) as session:
        return _texts(session)


def _installation(name, **tokens):
    return OauthCredentials(user_id=name, provider="sid", state="s", redirect_uri="https://agentgpt.test", **tokens)


def _texts(session):
    """As the application reads them: under another key an HTTPException, 403."""
    rows = session.scalars(select(OauthCredentials).where(OauthCredentials.access_token_enc.is_not(None)))
    return {
        f"oauth_credentials.{column}/{row.user_id}": encryption_service.decrypt(getattr(row, column))
        for row in rows
        for column in COLUMNS
    }


def _session(url):
    return Session(create_engine(url.replace("mysql:", "mysql+pymysql:")))
