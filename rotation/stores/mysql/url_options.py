"""The options of a url: PyMySQL's own, and what to write for the ones that other drivers of MariaDB and MySQL take."""

from __future__ import annotations

import ssl
from typing import Any

from sqlalchemy.engine import URL

from rotation.stores.url_options import LEAVE, Instead, by_name

TLS_OPTIONS = frozenset({"ssl_ca", "ssl_capath", "ssl_cert", "ssl_key", "ssl_cipher", "ssl_check_hostname"})
"""The options of a url that SQLAlchemy puts into the driver's `ssl`."""
BESIDE = frozenset({"ssl_verify_cert", "ssl_verify_identity", "ssl_key_password"})
"""The options that it leaves beside that: the driver then drops these, or `ssl` and the CA in it."""
NO = frozenset({"0", "false", "no", "off", "none"})
NO_TEXTS = frozenset({"ssl", "conv", "cursorclass", "compress", "named_pipe", "defer_connect", "auth_plugin_map"})
"""Options of the driver whose values are no texts, or that it knows and refuses."""

CHECKED = "write ssl_ca=FILE"
"""The server's certificate is checked, and the host name in it."""
ENCRYPTED = "write ssl_check_hostname=false"
"""TLS, or no connection; without an `ssl_ca` nothing is checked."""
OFF = "write ssl_disabled=true"
TEXT = f"{LEAVE}: the connection is in utf8mb4"
ZONE = f"{LEAVE}: no time zone matters here"
POOL = f"{LEAVE}: there is no pool here"
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

OTHER_OPTIONS = by_name(
    # mysqlclient, aiomysql, asyncmy
    (TLS, "ssl ssl_mode"),
    (LEAVE, "conv cursorclass compress named_pipe defer_connect multi_statements echo"),
    (f"{LEAVE}: the server names the plugin", "auth_plugin auth_plugin_map"),
    (POOL, "minsize maxsize pool_recycle"),
    (CONNECT, "timeout"),
    # mysql-connector, MariaDB Connector/Python
    (CONNECT, "connection_timeout"),
    (ZONE, "time_zone"),
    (LEAVE, "use_pure buffered raise_on_warnings get_warnings consume_results allow_local_infile reconnect"),
    (LEAVE, "tls_version tls_versions"),
    (POOL, "pool_name pool_size"),
    ("write read_default_file=FILE", "default_file option_files"),
    ("write read_default_group=NAME", "default_group"),
    # pyodbc
    (LEAVE, "driver"),
    (TLS, "encrypt trustservercertificate"),
    # JDBC
    (TLS, "usessl requiressl sslmode verifyservercertificate"),
    (CHECKED, "trustcertificatekeystoreurl"),
    (LEAVE, "allowpublickeyretrieval autoreconnect zerodatetimebehavior tinyint1isbit rewritebatchedstatements"),
    (ZONE, "servertimezone connectiontimezone uselegacydatetimecode usejdbccomplianttimezoneshift"),
    (TEXT, "useunicode characterencoding"),
    ("write collation=NAME", "connectioncollation"),
    (CONNECT, "connecttimeout"),
    (READ, "sockettimeout"),
    ("write init_command=SET%20NAME%3DVALUE", "sessionvariables"),
    # Prisma
    (Instead({"strict": CHECKED}, ENCRYPTED), "sslaccept"),
    ("write ssl_cert=FILE and ssl_key=FILE, of its certificate and its key", "sslidentity"),
    (CHECKED, "sslcert"),
    (POOL, "connection_limit pool_timeout"),
    (READ, "socket_timeout"),
    # Go, Rails and Django's helpers
    (TLS, "tls"),
    (LEAVE, "parsetime"),
    (ZONE, "loc"),
    (READ, "readtimeout"),
    ("write write_timeout=SECONDS", "writetimeout"),
    (TEXT, "encoding"),
    (CHECKED, "sslca"),
    (POOL, "pool conn_max_age"),
)


def tls_options(url: URL) -> dict[str, Any]:
    """The driver's options for what its own names in *url* mean: it would take any text for true, such as "false"."""
    given = {name: str(url.query[name]) for name in {*TLS_OPTIONS, *BESIDE, "ssl_disabled"} & url.query.keys()}
    said = {name: value.lower() not in NO for name, value in given.items()}
    found: dict[str, Any] = {name: said[name] for name in ("ssl_disabled",) if name in said}
    if not given.keys() & BESIDE:
        return found
    made: dict[str, Any] = {name.removeprefix("ssl_"): given[name] for name in TLS_OPTIONS & given.keys()}
    made |= {"password": given["ssl_key_password"]} if "ssl_key_password" in given else {}
    made |= {"check_hostname": said["ssl_check_hostname"]} if "ssl_check_hostname" in said else {}
    identity, certificate = said.get("ssl_verify_identity"), said.get("ssl_verify_cert")
    if identity or certificate is not None:
        made["verify_mode"] = bool(identity or certificate)
    if identity is not None or certificate is not None:
        made["check_hostname"] = bool(identity or said.get("ssl_check_hostname"))
    if identity and not made.keys() & {"ca", "capath"}:
        # Without one the driver compares no names, though it takes the certificates of the system.
        of_system = ssl.get_default_verify_paths()
        made |= {"ca": of_system.cafile, "capath": of_system.capath}
    return found | {"ssl": made} | dict.fromkeys(given.keys() & BESIDE)
