"""Options that other drivers of MariaDB and MySQL take in a url, and what to write for PyMySQL: data only."""

from __future__ import annotations

from collections.abc import Mapping

from rotation.stores.url_options import LEAVE, Hint, Instead

CHECKED = "write ssl_ca=FILE"
"""The server's certificate is checked, and the host name in it."""
ENCRYPTED = "write ssl_check_hostname=false"
"""TLS, or no connection; without an `ssl_ca` nothing is checked."""
OFF = "write ssl_disabled=true"
TEXT = f"{LEAVE}: the connection is in utf8mb4"
ZONE = f"{LEAVE}: no time zone matters here"
POOL = f"{LEAVE}: there is no pool here"
PLUGIN = f"{LEAVE}: the server names the plugin"
CONNECT = "write connect_timeout=SECONDS"
READ = "write read_timeout=SECONDS"
TLS = Instead(
    {
        "disabled": OFF,
        "false": OFF,
        "preferred": LEAVE,
        "verify_ca": f"{CHECKED}&ssl_check_hostname=false",
        "verify_identity": CHECKED,
    },
    f"{ENCRYPTED}, which encrypts and checks nothing, or ssl_ca=FILE, which checks the certificate",
)

OTHER_OPTIONS: Mapping[str, Hint] = {
    # mysqlclient, aiomysql, asyncmy
    "ssl": TLS,
    "ssl_mode": TLS,
    "conv": LEAVE,
    "cursorclass": LEAVE,
    "compress": LEAVE,
    "named_pipe": LEAVE,
    "defer_connect": LEAVE,
    "multi_statements": LEAVE,
    "auth_plugin": PLUGIN,
    "auth_plugin_map": PLUGIN,
    "echo": LEAVE,
    "minsize": POOL,
    "maxsize": POOL,
    "pool_recycle": POOL,
    "timeout": CONNECT,
    # mysql-connector, MariaDB Connector/Python
    "connection_timeout": CONNECT,
    "time_zone": ZONE,
    "use_pure": LEAVE,
    "buffered": LEAVE,
    "raise_on_warnings": LEAVE,
    "get_warnings": LEAVE,
    "consume_results": LEAVE,
    "allow_local_infile": LEAVE,
    "pool_name": POOL,
    "pool_size": POOL,
    "reconnect": LEAVE,
    "tls_version": LEAVE,
    "tls_versions": LEAVE,
    "default_file": "write read_default_file=FILE",
    "option_files": "write read_default_file=FILE",
    "default_group": "write read_default_group=NAME",
    # pyodbc
    "driver": LEAVE,
    "encrypt": TLS,
    "trustservercertificate": TLS,
    # JDBC
    "usessl": TLS,
    "requiressl": TLS,
    "sslmode": TLS,
    "verifyservercertificate": TLS,
    "trustcertificatekeystoreurl": CHECKED,
    "allowpublickeyretrieval": LEAVE,
    "servertimezone": ZONE,
    "connectiontimezone": ZONE,
    "uselegacydatetimecode": ZONE,
    "usejdbccomplianttimezoneshift": ZONE,
    "useunicode": TEXT,
    "characterencoding": TEXT,
    "connectioncollation": "write collation=NAME",
    "connecttimeout": CONNECT,
    "sockettimeout": READ,
    "autoreconnect": LEAVE,
    "zerodatetimebehavior": LEAVE,
    "tinyint1isbit": LEAVE,
    "rewritebatchedstatements": LEAVE,
    "sessionvariables": "write init_command=SET%20NAME%3DVALUE",
    # Prisma
    "sslaccept": Instead({"strict": CHECKED}, ENCRYPTED),
    "sslidentity": "write ssl_cert=FILE and ssl_key=FILE, of its certificate and its key",
    "sslcert": CHECKED,
    "connection_limit": POOL,
    "pool_timeout": POOL,
    "socket_timeout": READ,
    # Go, Rails and Django's helpers
    "tls": TLS,
    "parsetime": LEAVE,
    "loc": ZONE,
    "readtimeout": READ,
    "writetimeout": "write write_timeout=SECONDS",
    "encoding": TEXT,
    "sslca": CHECKED,
    "pool": POOL,
    "conn_max_age": POOL,
}
