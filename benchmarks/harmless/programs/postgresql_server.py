"""PostgreSQL: a server's errors, notices, plans and logged statements."""

import os
import sys

import psycopg

URL = os.environ.get("TEST_POSTGRES_URL", "postgresql://postgres@127.0.0.1:5432/postgres").replace("+psycopg", "")
try:
    connection = psycopg.connect(URL, autocommit=True, connect_timeout=3)
except psycopg.OperationalError:
    sys.exit(77)


def show(notice: psycopg.errors.Diagnostic) -> None:
    for part in (notice.message_primary, notice.message_detail, notice.message_hint, notice.context):
        if part:
            print(f"{notice.severity}:  {part}")


connection.add_notice_handler(show)
SQL = """
SET client_min_messages = 'debug1'; SET log_statement = 'all'; SET log_duration = on
CREATE TEMP TABLE users (id bigserial PRIMARY KEY, name text UNIQUE, password_hash text, reset_token_expires timestamptz)
CREATE TEMP TABLE api_tokens (id int PRIMARY KEY, token_hash text NOT NULL CHECK (length(token_hash) > 3), user_id bigint REFERENCES users)
CREATE TEMP TABLE IF NOT EXISTS users (id int)
DROP TABLE IF EXISTS password_history
CREATE INDEX ON api_tokens (token_hash)
EXPLAIN (ANALYZE, VERBOSE, BUFFERS, TIMING off) SELECT u.name, t.token_hash FROM users u JOIN api_tokens t ON t.user_id = u.id WHERE password_hash IS NULL
EXPLAIN (FORMAT yaml) SELECT password_hash FROM users WHERE name LIKE 'b%' ORDER BY reset_token_expires
EXPLAIN (FORMAT json) UPDATE api_tokens SET token_hash = NULL WHERE id = 7
SELECT password FROM users
SELECT token FROM api_tokens WHERE secret = 1
SELECT u.password_hash FROM users
SELECT * FROM pasword_resets
SELECT get_token(7)
SELECT 'abc'::int
SELEC password FROM users
SELECT token FROM
UPDATE users SET password_hash = id = 4 WHERE token
ALTER TABLE users DROP COLUMN password
ALTER TABLE users RENAME COLUMN password TO password_hash
ALTER ROLE no_such_role PASSWORD NULL
CREATE ROLE no_such_role IN ROLE no_such_group
GRANT SELECT (password_hash) ON users TO no_such_role
SET password_encryption = 'md6'
SET no_such.token = 'on'; SHOW password_encryption
DO $$ BEGIN RAISE NOTICE 'password of % expires in % days', 'bob', 3; RAISE WARNING 'token table has % rows', 812; END $$
DO $$ BEGIN RAISE EXCEPTION 'token expired' USING HINT = 'Ask for a new token with POST /oauth/token.', DETAIL = 'It was issued 3 days ago.'; END $$
SELECT name, setting, short_desc FROM pg_settings WHERE name ~ 'pass|auth|ssl|key|secret|hash|sync|scram' ORDER BY 1
SELECT column_name, data_type FROM information_schema.columns WHERE column_name ~ 'pass|key|token' LIMIT 60
SELECT proname, pg_get_function_arguments(oid) FROM pg_proc WHERE proname ~ 'sha|md5|digest|token|pass|uuid' LIMIT 80
SELECT name, short_desc, extra_desc FROM pg_settings ORDER BY name LIMIT 120
"""
for statement in SQL.strip().splitlines():
    print(f"LOG:  statement: {statement}")
    try:
        for part in statement.split("; ") if "$$" not in statement else [statement]:
            cursor = connection.execute(part)
        for row in cursor.fetchall() if cursor.description else []:
            print(" | ".join(map(str, row)))
        print(cursor.statusmessage)
    except psycopg.Error as error:
        print(f"ERROR:  {error}")
        print(repr(error))
