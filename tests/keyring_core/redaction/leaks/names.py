"""Secrets that nobody registered: the name beside them gives them away."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import structlog

from tests.keyring_core.redaction.leaks.case import World, leak
from tests.keyring_core.redaction.leaks.dumps import hex_dump

FIELDS: dict[str, Callable[[World], dict[Any, Any]]] = {
    "password": lambda w: {"password": w.unknown},
    "db_password": lambda w: {"db_password": w.unknown},
    "camel_case": lambda w: {"dbPassword": w.unknown},
    "upper_case": lambda w: {"DB_PASSWORD": w.unknown},
    "kebab_case": lambda w: {"x-api-key": w.unknown},
    "dotted": lambda w: {"db.password": w.unknown},
    "numbered": lambda w: {"password2": w.unknown},
    "pwd": lambda w: {"pwd": w.unknown},
    "passphrase": lambda w: {"passphrase": w.unknown},
    "client_secret": lambda w: {"client_secret": w.unknown},
    "access_token": lambda w: {"access_token": w.unknown},
    "refresh_token": lambda w: {"refreshToken": w.unknown},
    "authorization": lambda w: {"Authorization": f"Custom {w.unknown}"},
    "cookie": lambda w: {"set-cookie": f"sid={w.unknown}"},
    "api_key": lambda w: {"apiKey": w.unknown},
    "private_key": lambda w: {"private_key": w.unknown},
    "encryption_key": lambda w: {"ENCRYPTION_KEY": w.unknown},
    "credentials": lambda w: {"credentials": w.unknown},
    "inside_dict": lambda w: {"request": {"headers": {"Authorization": w.unknown}}},
    "inside_list": lambda w: {"users": [{"name": "bob", "password": w.unknown}]},
    "dict_under_name": lambda w: {"credentials": {"user": "bob", "value": w.unknown}},
    "list_under_name": lambda w: {"passwords": [w.unknown]},
    "bytes_under_name": lambda w: {"password": w.unknown.encode()},
    "object_under_name": lambda w: {"password": ValueError(w.unknown)},
    "bytes_name": lambda w: {"scope": {b"password": w.unknown}},
    "pair": lambda w: {"headers": [("authorization", w.unknown)]},
    "bytes_pair": lambda w: {"headers": [(b"authorization", w.unknown.encode())]},
    "arguments": lambda w: {"argv": ["mysql", "--password", w.unknown]},
    "argument_with_value": lambda w: {"argv": ["mysql", f"--password={w.unknown}"]},
    "json_in_text": lambda w: {"body": json.dumps({"password": w.unknown})},
    "json_in_json_in_text": lambda w: {"body": json.dumps({"inner": json.dumps({"password": w.unknown})})},
    "repr_in_text": lambda w: {"body": repr({"password": w.unknown})},
    "form_in_text": lambda w: {"body": f"user=bob&password={w.unknown}&x=1"},
    "libpq_in_text": lambda w: {"env": f"PGPASSWORD={w.unknown} pg_dump app"},
    "one_word": lambda w: {"accesstoken": w.unknown},
    "dsn_in_text": lambda w: {"dsn": f"host=db user=bob password={w.unknown} dbname=app"},
    "kwargs_in_text": lambda w: {"call": f"connect(user='bob', password='{w.unknown}')"},
    "environment_in_text": lambda w: {"env": f"PATH=/bin\nDB_PASSWORD={w.unknown}\nHOME=/"},
    "yaml_in_text": lambda w: {"config": f"user: bob\npassword: {w.unknown}\n"},
    "xml_in_text": lambda w: {"config": f"<user>bob</user><password>{w.unknown}</password>"},
    "header_in_text": lambda w: {"request": f"GET /\r\nX-Api-Key: {w.unknown}\r\n"},
    "option_in_text": lambda w: {"command": f"mysql --user bob --password {w.unknown}"},
    "sql_in_text": lambda w: {"sql": f"ALTER USER bob PASSWORD '{w.unknown}'"},
    "query_in_text": lambda w: {"url": f"https://h/cb?access_token={w.unknown}&state=1"},
    "ampersand_in_text": lambda w: {"dsn": f"host=db password=abc&{w.unknown} dbname=app"},
    "colon_in_text": lambda w: {"note": f"user:bob password:{w.unknown}"},
    "brackets_in_text": lambda w: {"note": f"log in as bob (password {w.unknown})"},
    "sentence_in_text": lambda w: {"note": f"the new password is {w.unknown}"},
    "call_in_text": lambda w: {"call": f'user.setPassword("{w.unknown}")'},
    "sql_identified_in_text": lambda w: {"sql": f"CREATE USER bob IDENTIFIED BY '{w.unknown}'"},
    "xml_attribute_in_text": lambda w: {"config": f'<add key="password" value="{w.unknown}"/>'},
    "encoded_in_text": lambda w: {"url": f"https://h/?next=%2Flogin%3Fpassword%3D{w.unknown}"},
    "json_in_url_in_text": lambda w: {"url": "https://h/?q=" + quote(json.dumps({"password": w.unknown}))},
    "login_in_text": lambda w: {"note": f"connecting to bob:{w.unknown}@db"},
    "hexdump_in_text": lambda w: {"file": hex_dump(f"a=b\npassword={w.unknown}\n".encode())},
    "cookie_in_text": lambda w: {"request": f"Cookie: theme=dark; sid={w.unknown}"},
}


def _case(fields: Callable[[World], dict[Any, Any]]) -> Callable[[World], None]:
    def run(world: World) -> None:
        world.log.info("names", **fields(world))

    run.__module__ = __name__
    return run


for _name, _fields in FIELDS.items():
    leak(name=_name, alone=False)(_case(_fields))


@leak()
def bound(world: World) -> None:
    """A name in the bound context."""
    world.log.bind(password=world.unknown).info("names")


@leak()
def context_variable(world: World) -> None:
    """A name in structlog's context variables."""
    structlog.contextvars.bind_contextvars(api_key=world.unknown)
    world.log.info("names")


@leak()
def extra(world: World) -> None:
    """A name in a stdlib record's extra fields."""
    world.std.info("names", extra={"password": world.unknown})


@leak()
def stdlib_named_arguments(world: World) -> None:
    """A name among a stdlib message's arguments."""
    world.std.info("login with %(password)s", {"password": world.unknown})


@leak("console")
def console(world: World) -> None:
    """A name on the console."""
    world.log.info("names", password=world.unknown, nested={"token": world.unknown})


@leak("parts")
def redact_processor_alone(world: World) -> None:
    """A name in an existing structlog configuration."""
    world.structlog_chain(structlog.processors.JSONRenderer()).info("names", nested={"password": world.unknown})
