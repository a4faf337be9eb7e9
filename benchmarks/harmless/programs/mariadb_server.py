"""MariaDB: a server's errors, warnings, plans and settings."""

import os
import sys

import pymysql
import sqlalchemy as sa

url = sa.make_url(os.environ.get("TEST_MARIADB_URL", "mysql+pymysql://root@127.0.0.1:3306/mysql"))
try:
    connection = pymysql.connect(
        host=url.host, port=url.port or 3306, user=url.username, database=url.database, connect_timeout=3
    )
except pymysql.Error:
    sys.exit(77)
SQL = """
CREATE TEMPORARY TABLE harmless_users (id INT PRIMARY KEY, name VARCHAR(40) UNIQUE, password_hash VARCHAR(90), token_expires DATETIME)
CREATE TEMPORARY TABLE IF NOT EXISTS harmless_users (id INT)
INSERT INTO harmless_users (id, name) VALUES (1, 'bob'), (2, 'alice')
EXPLAIN FORMAT=JSON SELECT password_hash FROM harmless_users WHERE name = 'bob' AND token_expires IS NULL
ANALYZE FORMAT=JSON SELECT password_hash FROM harmless_users WHERE name LIKE 'b%' ORDER BY token_expires
SHOW CREATE TABLE harmless_users
DESCRIBE harmless_users
SELECT password FROM harmless_users
SELECT token FROM no_such_tokens
SELEC password FROM users
UPDATE harmless_users SET password_hash = WHERE id = 1
INSERT INTO harmless_users (id, name) VALUES (3, NULL), (4)
INSERT INTO harmless_users (id, token) VALUES (3, NULL)
ALTER TABLE harmless_users DROP COLUMN password
SELECT GET_TOKEN(7)
SELECT CAST('12x' AS INT), 1/0, STR_TO_DATE('x', '%Y')
SHOW WARNINGS
SET GLOBAL no_such_password_variable = 1
SET SESSION old_passwords = 'maybe'
DROP USER 'no_such_user'@'localhost'
REVOKE SELECT (password_hash) ON mysql.no_such_table FROM 'nobody'@'localhost'
SHOW COLUMNS FROM mysql.global_priv
SHOW VARIABLES WHERE Variable_name REGEXP 'pass|auth|ssl|key|secure|hash|token|old_|max_'
SHOW STATUS WHERE Variable_name REGEXP 'key|ssl|auth|handler|pass'
SELECT variable_name, variable_comment FROM information_schema.system_variables ORDER BY 1 LIMIT 150
SHOW PLUGINS
"""
with connection.cursor() as cursor:
    for statement in SQL.strip().splitlines():
        print(f"mariadb> {statement};")
        try:
            cursor.execute(statement)
            for row in cursor.fetchall():
                print("\t".join(map(str, row)))
            if cursor.warning_count:
                cursor.execute("SHOW WARNINGS")
                print(*cursor.fetchall(), sep="\n")
        except pymysql.Error as error:
            print(f"ERROR {error.args[0]}: {error.args[1]}")
            print(repr(error))
