"""botocore and redis: requests, answers and commands in their logs, errors and objects."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import botocore.credentials
import botocore.session
import redis
import redis.asyncio
from botocore.config import Config
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.keyring_core.redaction.leaks.case import World
from tests.keyring_core.redaction.libraries.ways import Tables, Way
from tests.keyring_core.redaction.libraries.web import CLOSED, asked, http

cases = Tables(__name__)

ONCE = Retry(NoBackoff(), 0)
# It keeps the models of the services that it has loaded.
SESSION = botocore.session.get_session()
for _service in ("sts", "iam", "kms", "cognito-idp"):
    SESSION.get_service_model(_service)


def client(world: World, service: str = "sts", url: str = f"http://{CLOSED}", **options: str) -> Any:
    """A client whose credentials are no secret of the case, unless *options* say so."""
    given = {"aws_access_key_id": "AK", "aws_secret_access_key": "x"} | options
    config = Config(retries={"max_attempts": 0}, inject_host_prefix=False)
    return SESSION.create_client(service, "eu-west-1", endpoint_url=url, config=config, **given)


def called(act: Callable[[Any, World], Any], answer: str = "{0}", service: str = "sts", **options: str) -> Way:
    """Calls a service; its answer is XML or JSON."""
    return asked(
        lambda w, url: act(client(w, service, url, **{name: text.format(w) for name, text in options.items()}), w),
        lambda w: http(body=answer.format(w)),
    )


CREDENTIALS = (
    "<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>AK</AccessKeyId>"
    "<SecretAccessKey>{0.unknown}</SecretAccessKey><SessionToken>{0.unknown}</SessionToken>"
    "<Expiration>2030-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>"
)
DENIED = "<ErrorResponse><Error><Code>Denied</Code><Message>password={0.unknown}</Message></Error></ErrorResponse>"


def identity(made: Any, _: World) -> Any:
    return made.get_caller_identity()


def assume(made: Any, world: World) -> Any:
    return made.assume_role(RoleArn="arn:aws:iam::123456789012:role/x", RoleSessionName=world.plaintext)


cases.logs(
    "botocore",
    {
        "session_token": called(identity, aws_session_token="{0.unknown}"),
        "session_token_small": called(lambda made, w: made.list_keys(), service="kms", aws_session_token="{0.unknown}"),
        "parameter": called(assume),
        "password": called(lambda made, w: made.create_login_profile(UserName="b", Password=w.unknown), service="iam"),
        "password_json": called(
            lambda made, w: made.initiate_auth(
                AuthFlow="USER_PASSWORD_AUTH", ClientId="x", AuthParameters={"USERNAME": "b", "PASSWORD": w.unknown}
            ),
            service="cognito-idp",
        ),
        "plaintext": called(lambda made, w: made.encrypt(KeyId="x", Plaintext=w.plaintext.encode()), service="kms"),
        "answer": called(assume, CREDENTIALS),
        "answer_token": called(
            lambda made, w: made.get_session_token(), CREDENTIALS.replace("AssumeRole", "GetSessionToken")
        ),
        "answer_json": called(
            lambda made, w: made.initiate_auth(AuthFlow="USER_SRP_AUTH", ClientId="x"),
            '{{"AuthenticationResult": {{"AccessToken": "{0.unknown}"}}}}',
            service="cognito-idp",
        ),
        "denied": called(identity, DENIED),
        "presigned": lambda w: client(w, aws_session_token=w.unknown).generate_presigned_url("get_caller_identity"),
    },
)


def denied(world: World) -> bytes:
    return http(body=DENIED.format(world), status="403 Forbidden")


cases.errors(
    "botocore",
    {
        "denied": asked(lambda w, url: identity(client(w, url=url), w), denied),
        "type": lambda w: client(w).assume_role(RoleArn="x", RoleSessionName=[w.plaintext]),
        "unknown_parameter": lambda w: client(w).get_caller_identity(**{w.plaintext: 1}),
        "operation": lambda w: getattr(client(w), w.plaintext),
        "service": lambda w: client(w, w.plaintext),
        "endpoint": lambda w: client(w, url=f"http://bob:{w.unknown}@{CLOSED}/").get_caller_identity(),
        "endpoint_malformed": lambda w: client(w, url=f"bob:{w.plaintext}@h"),
        "profile": lambda w: botocore.session.Session(profile=w.plaintext).get_scoped_config(),
        "waiter": lambda w: client(w, "iam").get_waiter(w.plaintext),
        "body": asked(lambda w, url: identity(client(w, url=url), w), lambda w: http(body=f"<{w.plaintext}")),
    },
)


cases.texts(
    "botocore",
    {
        "presigned": lambda w: client(w, aws_session_token=w.unknown).generate_presigned_url("get_caller_identity"),
        "credentials": called(assume, CREDENTIALS),
        "frozen": lambda w: botocore.credentials.Credentials("AK", w.unknown, w.unknown).get_frozen_credentials(),
        "fields": lambda w: vars(botocore.credentials.Credentials("AK", w.unknown)),
    },
)


def server(world: World, *command: str) -> Any:
    """Sends a command to the server; none of them changes anything."""
    with redis.Redis.from_url(os.environ["TEST_REDIS_URL"]) as connection:
        return connection.execute_command(*command)


def piped(*command: Any) -> Any:
    with redis.Redis.from_url(os.environ["TEST_REDIS_URL"]) as connection:
        return connection.pipeline(transaction=False).execute_command(*command).execute()


async def asynchronous(*command: Any) -> Any:
    async with redis.asyncio.Redis.from_url(os.environ["TEST_REDIS_URL"]) as connection:
        return await connection.execute_command(*command)


cases.errors(
    "redis",
    {
        "unknown_command": lambda w: server(w, "OOPS", w.plaintext),
        "subcommand": lambda w: server(w, "CLIENT", w.plaintext),
        "users": lambda w: server(w, "ACL", "DRYRUN", w.plaintext, "get", "x"),
        "script_reply": lambda w: server(w, "EVAL", f"return redis.error_reply('password={w.unknown}')", "0"),
        "script_raised": lambda w: server(w, "EVAL", f"error('token={w.unknown}')", "0"),
        "pipeline": lambda w: piped("OOPS", w.plaintext),
        "pipeline_key": lambda w: piped("GETEX", "nothing", "PASSWORD", f"password={w.unknown}"),
        "async": lambda w: asynchronous("OOPS", w.plaintext),
        "argument": lambda w: piped("GET", type(f"x{w.raw.hex()}", (), {})()),
        "url": lambda w: redis.Redis.from_url(f"redis://:x@h:{w.plaintext}/0"),
        "option": lambda w: redis.Redis.from_url(f"redis://h/0?k{w.raw.hex()}=1").ping(),
        "unix_socket": lambda w: redis.Redis.from_url(f"unix:///run/{w.plaintext}", retry=ONCE).ping(),
        "host": lambda w: redis.Redis(f"{w.plaintext}.invalid", retry=ONCE).ping(),
    },
)

cases.texts(
    "redis",
    {
        "pool": lambda w: redis.ConnectionPool.from_url(f"redis://:{w.unknown}@h/0").connection_kwargs,
        "parsed_url": lambda w: redis.connection.parse_url(f"rediss://bob:{w.unknown}@h/0"),
        "credentials": lambda w: vars(redis.UsernamePasswordCredentialProvider("bob", w.unknown)),
    },
)
