"""Python's tracebacks: errors of real packages, with their code."""

import traceback
import warnings

from django.conf import settings

settings.configure(AUTH_PASSWORD_VALIDATORS=[{"NAME": "app.NoSuchValidator"}], PASSWORD_HASHERS=["app.NoHasher"])

CODE = """
import requests; requests.get("http://127.0.0.1:9/reset-password", timeout=1)
import urllib.request; urllib.request.urlopen("http://127.0.0.1:9/oauth/token", timeout=1)
import smtplib; smtplib.SMTP("127.0.0.1", 9, timeout=1)
import imaplib; imaplib.IMAP4("127.0.0.1", 9, timeout=1)
import ftplib; ftplib.FTP("127.0.0.1", timeout=1)
import secrets; secrets.token_urlsafe("12")
import hmac; hmac.compare_digest("ä", b"a")
import hmac; hmac.new("text", b"", "sha256")
import hashlib; hashlib.pbkdf2_hmac("sha0", b"", b"", 1)
import ssl; ssl.create_default_context(cafile="/no/such/ca.pem")
import netrc; netrc.netrc("/no/such/.netrc")
import tokenize, io; list(tokenize.generate_tokens(io.StringIO("password = '").readline))
import base64; base64.b64decode("abc", validate=True)
import shlex; shlex.split("mysql --password='")
import configparser; configparser.ConfigParser().get("auth", "token")
import jinja2; jinja2.Template("{{ token.value }").render()
import jinja2; jinja2.Environment(undefined=jinja2.StrictUndefined).from_string("{{ user.password }}").render()
import yaml; yaml.safe_load("password: {{ lookup }}")
import tomlkit; tomlkit.parse("token = ")
import json; json.loads('{"token": }')
from django.contrib.auth.hashers import make_password; make_password(12)
from django.contrib.auth.hashers import check_password; check_password("no", "pbkdf2_sha256")
from django.contrib.auth.password_validation import get_default_password_validators; get_default_password_validators()
from django.core import signing; signing.loads("a:b:c")
from django.contrib.auth import authenticate; authenticate(None, username="bob")
from django.contrib.auth.tokens import default_token_generator; default_token_generator.make_token(None)
from itsdangerous import URLSafeTimedSerializer; URLSafeTimedSerializer("x").loads("text")
from cryptography.fernet import Fernet; Fernet(b"short")
from cryptography.hazmat.primitives.serialization import load_pem_private_key; load_pem_private_key(b"no", None)
from cryptography.x509 import load_pem_x509_certificate; load_pem_x509_certificate(b"no")
from keyring_core import Keyring; Keyring("short")
import sqlalchemy; sqlalchemy.create_engine("sqlite://").connect().exec_driver_sql("SELECT password FROM users")
import sqlalchemy; sqlalchemy.create_engine("postgresql+psycopg://127.0.0.1:9/app").connect()
import sqlalchemy; sqlalchemy.create_engine("mysql+pymysql://127.0.0.1:9/app").connect()
import pymysql; pymysql.connect(host="127.0.0.1", port=9)
import psycopg; psycopg.connect("postgresql://127.0.0.1:9/app")
import psycopg; psycopg.connect("host=127.0.0.1 pasword=")
import click; click.Context(click.Command("login")).fail("Missing option '--token'.")
import pydantic; pydantic.TypeAdapter(pydantic.SecretStr).validate_python(12)
from starlette.requests import Request; Request({"type": "http"}).session
from flask import session; session["token"]
from fastapi.security import OAuth2PasswordBearer; OAuth2PasswordBearer()
from celery import Celery; Celery(broker="redis://127.0.0.1:9").send_task("app.reset_password")
import kombu; kombu.Connection("amqp://127.0.0.1:9").connect()
import keyring; keyring.set_keyring("no backend")
import twine.settings; twine.settings.Settings(sign_with="gpg", identity="bob")
import asyncio; asyncio.run(asyncio.open_connection("127.0.0.1", 9))
import subprocess; subprocess.run(["vault-no", "read", "-field=password", "db/creds/app"])
import os; os.environ["DB_PASSWORD_FILE"]
open("/run/secrets/db_password_no")
getattr(object(), "access_token")
"""
for line in CODE.strip().splitlines():
    try:
        exec(compile(line, "/srv/app/jobs.py", "exec"))
    except BaseException:
        traceback.print_exc()
warnings.warn("the password_hasher argument is deprecated, use hasher=", DeprecationWarning, stacklevel=1)
