"""OpenAPI: the document of an API with logins, tokens and keys."""

import json

from fastapi import Depends, FastAPI, Security
from fastapi.security import APIKeyCookie, APIKeyHeader, HTTPBearer, OAuth2PasswordBearer
from pydantic import BaseModel, Field, SecretStr

application = FastAPI(title="Accounts")


class NewPassword(BaseModel):
    old_password: SecretStr = Field(description="the password that is in use now", min_length=12)
    new_password: SecretStr = Field(description="12 characters or more; see the password policy", max_length=128)


class Token(BaseModel):
    access_token: str = Field(description="a JWT, signed with ES256")
    refresh_token: str | None = Field(None, description="opaque, for one use")
    token_type: str = "bearer"
    expires_in: int = Field(3600, ge=60)


class ApiKey(BaseModel):
    key_id: str
    secret: str | None = Field(None, description="shown once, when the key is made")
    last_used_at: str | None = None


oauth = OAuth2PasswordBearer(tokenUrl="oauth/token", scopes={"secrets:read": "read secrets", "token:rotate": "rotate"})
keys = [APIKeyHeader(name="X-API-Key"), APIKeyCookie(name="session_token"), HTTPBearer(bearerFormat="JWT")]


@application.post("/oauth/token", response_model=Token)
def sign_in(client_id: str, grant_type: str = "password", client_secret: SecretStr | None = None) -> None:
    """Exchange a username and a password for an access token."""


@application.put("/users/{user_id}/password", dependencies=[Security(oauth, scopes=["token:rotate"])])
def change_password(user_id: int, body: NewPassword) -> None:
    """Change the password; every refresh token of the user is revoked."""


@application.post("/api-keys", response_model=ApiKey, dependencies=[Depends(key) for key in keys])
def new_key(name: str, dry_run_token: str | None = None) -> None:
    """Make an API key."""


@application.get("/secrets/{path}", response_model=list[ApiKey])
def secrets(path: str, page_token: str | None = None) -> None:
    """List the secrets below a path, without their values."""


print(json.dumps(application.openapi(), indent=2))
for path, methods in application.openapi()["paths"].items():
    for method, operation in methods.items():
        print(json.dumps({"path": path, "method": method, **operation}))
print(json.dumps(application.openapi()))
