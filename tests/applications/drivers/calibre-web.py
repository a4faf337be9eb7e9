"""Calibre-Web's passwords: the columns of `settings` in app.db whose names end in `_e`.

Key: the file `.key` beside app.db, one Fernet key. Calibre-Web has no variable for it: the driver writes that file from
`CALIBRE_WEB_KEY`. There is one row of settings, and so each secret is in another column.
"""

import os
import tempfile
from pathlib import Path

# It puts its own folder on the path, where its parts find each other as `cps`.
import calibreweb  # noqa: F401
from cps import cli_param, config_sql, ub

COLUMNS = {
    "first": "mail_password_e",
    "second": "config_ldap_serv_password_e",
    "third": "config_reverse_proxy_login_header_secret_e",
}


def write(url, secrets):
    config = _config(url)
    for name, text in secrets.items():
        setattr(config, COLUMNS[name], text)
    config.save()
    return _texts(config)


def read(url):
    return _texts(_config(url))


def _texts(config):
    """As the application reads them: under another key an empty text."""
    return {f"settings.{column}/{name}": getattr(config, column) for name, column in COLUMNS.items()}


def _config(url):
    ub.init_db(url.removeprefix("sqlite:///"))
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, ".key").write_text(os.environ["CALIBRE_WEB_KEY"])
        key, error = config_sql.get_encryption_key(folder)
    assert not error
    config_sql.load_configuration(ub.session, key)
    config = config_sql.ConfigSQL()
    # What its option for a log file gives if it is not there.
    cli_param.logpath = ""
    config.init_config(ub.session, key, cli_param)
    return config
