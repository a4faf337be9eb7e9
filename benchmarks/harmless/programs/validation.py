"""pydantic, jsonschema, click: what they report of a wrong password field, token or option."""

import click
import jsonschema
from click.testing import CliRunner
from pydantic import BaseModel, SecretStr, ValidationError, field_validator


class Login(BaseModel):
    username: str
    password: SecretStr
    otp: int | None = None
    api_token: str | None = None
    session_cookie: str | None = None

    @field_validator("password")
    @classmethod
    def long(cls, value: SecretStr) -> SecretStr:
        if len(value) < 12:
            raise ValueError("the password is shorter than 12 characters")
        return value


for data in (
    {},
    {"username": "bob"},
    {"username": None, "password": None},
    {"username": "bob", "password": 12, "otp": "none"},
    {"username": "bob", "password": "", "api_token": []},
    {"username": "bob", "password": None, "session_cookie": 3},
    {"username": "bob", "password": False, "api_token": {}},
):
    try:
        Login.model_validate(data)
    except ValidationError as error:
        print(error, error.json(indent=1), error.errors(), sep="\n")

schema = Login.model_json_schema()
for data in ({}, {"username": 3}, {"username": "bob", "password": 3}, {"username": "bob", "password": None}, []):
    for fault in jsonschema.Draft202012Validator(schema).iter_errors(data):
        print(fault)


@click.group()
def cli() -> None:
    """Manage tokens and passwords."""


@cli.command()
@click.option("--token", envvar="APP_TOKEN", required=True, help="API token; without it, APP_TOKEN is read.")
@click.option("--password-file", type=click.Path(exists=True), help="File with the password, one line.")
@click.option("--secret-name", default="app/db", show_default=True, help="Name of the secret.")
@click.option("--otp", type=int, help="One-time password of 6 digits.")
def login(**_: object) -> None:
    """Log in with a token."""


@cli.command()
@click.option("--length", type=click.IntRange(12, 128), default=24, show_default=True, help="Length of the password.")
@click.password_option(help="New password; asks twice.")
def passwd(**_: object) -> None:
    """Change a password."""


for words in (
    "--help, login --help, passwd --help, login, login --tokn, login --otp no, login --password-file /no/password.txt"
    ", passwd --length 3, passwrd, login --token, login --secret-name, passwd --length twelve, --token"
).split(", "):
    print(CliRunner().invoke(cli, words.split()).output)
