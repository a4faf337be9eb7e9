"""Options that other drivers of PostgreSQL take in a url, and what to write for libpq: data only."""

from __future__ import annotations

from collections.abc import Mapping

from rotation.stores.url_options import LEAVE, Hint, Instead

MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
PLAIN = f"{LEAVE}: nothing is prepared here"
POOL = f"{LEAVE}: there is no pool here"
PATH = "write options=-csearch_path%3DSCHEMA"
SETTING = "write options=-cNAME%3DVALUE"
CONNECT = "write connect_timeout=SECONDS"
STATEMENT = f"{LEAVE}, or write options=-cstatement_timeout%3DMILLISECONDS"
MODE = Instead(
    {mode: f"write sslmode={mode}" for mode in MODES} | {"false": "write sslmode=disable"}, "write sslmode=require"
)
ROOT = "write sslmode=verify-full and sslrootcert=FILE"

OTHER_OPTIONS: Mapping[str, Hint] = {
    # asyncpg and pg8000
    "ssl": MODE,
    "ssl_context": ROOT,
    "direct_tls": "write sslmode=require",
    "timeout": CONNECT,
    "command_timeout": STATEMENT,
    "server_settings": SETTING,
    "statement_cache_size": PLAIN,
    "max_cached_statement_lifetime": PLAIN,
    "max_cacheable_statement_size": PLAIN,
    "unix_sock": "write host=FOLDER",
    "tcp_keepalive": "write keepalives=1",
    # SQLAlchemy, with asyncpg, psycopg and psycopg2
    "prepared_statement_cache_size": PLAIN,
    "prepared_statement_name_func": PLAIN,
    "prepare_threshold": PLAIN,
    "async_fallback": LEAVE,
    "autocommit": LEAVE,
    "cursor_factory": LEAVE,
    "connection_factory": LEAVE,
    "row_factory": LEAVE,
    "charset": "write client_encoding=NAME",
    "encoding": "write client_encoding=NAME",
    # Prisma
    "pgbouncer": PLAIN,
    "schema": PATH,
    "connection_limit": POOL,
    "pool_timeout": POOL,
    "socket_timeout": STATEMENT,
    "sslaccept": Instead({"strict": ROOT}, "write sslmode=require"),
    "sslidentity": "write sslcert=FILE and sslkey=FILE, of its certificate and its key",
    # JDBC
    "currentschema": PATH,
    "sslfactory": ROOT,
    "sslhostnameverifier": ROOT,
    "applicationname": "write application_name",
    "logintimeout": CONNECT,
    "connecttimeout": CONNECT,
    "sockettimeout": STATEMENT,
    "preparethreshold": PLAIN,
    "targetservertype": "write target_session_attrs",
    "tcpkeepalive": "write keepalives=1",
    # node-postgres, pgx, lib/pq, Rails and Django's helpers
    "uselibpqcompat": LEAVE,
    "search_path": PATH,
    "schema_search_path": PATH,
    "statement_timeout": STATEMENT,
    "default_query_exec_mode": PLAIN,
    "statement_cache_capacity": PLAIN,
    "binary_parameters": PLAIN,
    "prepared_statements": PLAIN,
    "pool": POOL,
    "pool_size": POOL,
    "pool_max_conns": POOL,
    "conn_max_age": POOL,
    "ssl_require": MODE,
}
