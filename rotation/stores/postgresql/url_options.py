"""Options that other drivers of PostgreSQL take in a url, and what to write for libpq."""

from __future__ import annotations

from rotation.stores.url_options import LEAVE, Instead, by_name

MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
PLAIN = f"{LEAVE}: nothing is prepared here"
POOL = f"{LEAVE}: there is no pool here"
PATH = "write options=-csearch_path%3DSCHEMA"
CONNECT = "write connect_timeout=SECONDS"
STATEMENT = f"{LEAVE}, or write options=-cstatement_timeout%3DMILLISECONDS"
MODE = Instead(
    {mode: f"write sslmode={mode}" for mode in MODES} | {"false": "write sslmode=disable"}, "write sslmode=require"
)
ROOT = "write sslmode=verify-full and sslrootcert=FILE"

OTHER_OPTIONS = by_name(
    # asyncpg and pg8000
    (MODE, "ssl"),
    (ROOT, "ssl_context"),
    ("write sslmode=require", "direct_tls"),
    (CONNECT, "timeout"),
    (STATEMENT, "command_timeout"),
    ("write options=-cNAME%3DVALUE", "server_settings"),
    (PLAIN, "statement_cache_size max_cached_statement_lifetime max_cacheable_statement_size"),
    ("write host=FOLDER", "unix_sock"),
    ("write keepalives=1", "tcp_keepalive"),
    # SQLAlchemy, with asyncpg, psycopg and psycopg2
    (PLAIN, "prepared_statement_cache_size prepared_statement_name_func prepare_threshold"),
    (LEAVE, "async_fallback autocommit cursor_factory connection_factory row_factory"),
    ("write client_encoding=NAME", "charset encoding"),
    # Prisma
    (PLAIN, "pgbouncer"),
    (PATH, "schema"),
    (POOL, "connection_limit pool_timeout"),
    (STATEMENT, "socket_timeout"),
    (Instead({"strict": ROOT}, "write sslmode=require"), "sslaccept"),
    ("write sslcert=FILE and sslkey=FILE, of its certificate and its key", "sslidentity"),
    # JDBC
    (PATH, "currentschema"),
    (ROOT, "sslfactory sslhostnameverifier"),
    ("write application_name", "applicationname"),
    (CONNECT, "logintimeout connecttimeout"),
    (STATEMENT, "sockettimeout"),
    (PLAIN, "preparethreshold"),
    ("write target_session_attrs", "targetservertype"),
    ("write keepalives=1", "tcpkeepalive"),
    # node-postgres, pgx, lib/pq, Rails and Django's helpers
    (LEAVE, "uselibpqcompat"),
    (PATH, "search_path schema_search_path"),
    (STATEMENT, "statement_timeout"),
    (PLAIN, "default_query_exec_mode statement_cache_capacity binary_parameters prepared_statements"),
    (POOL, "pool pool_size pool_max_conns conn_max_age"),
    (MODE, "ssl_require"),
)
