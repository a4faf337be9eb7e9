"""Open WebUI's secrets: OAuth sessions and clients, valves of functions, tools and users, MFA, apps.

Secret: `WEBUI_SECRET_KEY`, any text, from which several keys are derived. There is one.
Valves are encrypted with `ENABLE_VALVE_ENCRYPTION=true` only, which is set here.
Open WebUI's models make the schema; its functions write and read.
"""

import asyncio
import os
import time

NOW = int(time.time())


def write(url, secrets):
    _configure(url)
    return asyncio.run(_write(secrets))


def read(url):
    _configure(url)
    return asyncio.run(_texts())


def _configure(url):
    # Open WebUI reads its settings when it is first imported.
    os.environ |= {
        "DATA_DIR": os.environ["HOME"],
        "DATABASE_URL": url,
        "ENABLE_DB_MIGRATIONS": "false",
        "ENABLE_VALVE_ENCRYPTION": "true",
        "FROM_INIT_PY": "true",
        "VECTOR_DB": "qdrant",  # the default imports a large package
    }


async def _write(secrets):
    from open_webui.internal.db import Base, engine, get_async_db
    from open_webui.models.apps import App
    from open_webui.models.auths import Auth
    from open_webui.models.config import Config
    from open_webui.models.functions import Function, Functions
    from open_webui.models.oauth_sessions import OAuthSessions
    from open_webui.models.tools import Tool, Tools
    from open_webui.models.users import User
    from open_webui.utils.apps import get_app_encryption_cipher
    from open_webui.utils.mfa import cipher
    from open_webui.utils.oauth import encrypt_data

    Base.metadata.create_all(engine)
    app_cipher = get_app_encryption_cipher()
    times = {"created_at": NOW, "updated_at": NOW}
    clients = []
    for name, text in secrets.items():
        token = app_cipher.encrypt(text.encode()).decode()
        async with get_async_db() as session:
            session.add(User(id=name, email=name, name=name, role="user", last_active_at=NOW, **times))
            session.add(
                Auth(id=name, email=name, active=True, mfa={"secret": cipher().encrypt(text.encode()).decode()})
            )
            session.add(Function(id=name, user_id=name, name=name, type="filter", content="", meta={}, **times))
            session.add(Tool(id=name, user_id=name, name=name, content="", specs=[], meta={}, **times))
            session.add(App(id=name, slug=name, name=name, data={"connection_token": token}, api_key=token, **times))
            await session.commit()
        await OAuthSessions.create_session(name, "oidc", {"access_token": text, "expires_at": NOW + 3600})
        await Functions.update_function_valves_by_id(name, {"API_KEY": text})
        await Functions.update_user_valves_by_id_and_user_id(name, name, {"API_KEY": text})
        await Tools.update_tool_valves_by_id(name, {"API_KEY": text})
        clients.append({"url": f"https://{name}.test", "info": {"id": name, "oauth_client_info": encrypt_data([text])}})
    await Config.upsert({"tool_server.connections": clients})
    return await _texts()


async def _texts():
    """As the application reads them: under another key no sessions, empty valves, an error for all others."""
    from open_webui.internal.db import get_async_db
    from open_webui.models.apps import App
    from open_webui.models.auths import Auth
    from open_webui.models.config import Config
    from open_webui.models.functions import Functions
    from open_webui.models.oauth_sessions import OAuthSessions
    from open_webui.models.tools import Tools
    from open_webui.utils.apps import get_app_encryption_cipher
    from open_webui.utils.mfa import decrypt_secret
    from open_webui.utils.oauth import decrypt_data
    from sqlalchemy import select

    async with get_async_db() as session:
        auths = (await session.scalars(select(Auth))).all()
        apps = (await session.scalars(select(App))).all()
    texts = {}
    for name in (auth.id for auth in auths):
        # Not get_sessions_by_user_id, which Open WebUI itself calls: it deletes the sessions that it cannot decrypt.
        if oauth_session := await OAuthSessions.get_session_by_provider_and_user_id("oidc", name):
            texts[f"oauth_session.token/{name}"] = oauth_session.token["access_token"]
        valves = {
            "function.valves": await Functions.get_function_valves_by_id(name),
            "tool.valves": await Tools.get_tool_valves_by_id(name),
            "user.settings": await Functions.get_user_valves_by_id_and_user_id(name, name),
        }
        texts |= {f"{place}/{name}": values.get("API_KEY") for place, values in valves.items()}
    for client in await Config.get("tool_server.connections"):
        info = client["info"]
        texts[f"config.value/{info['id']}"] = decrypt_data(info["oauth_client_info"])[0]
    for auth in auths:
        texts[f"auth.mfa/{auth.id}"] = decrypt_secret(auth.mfa["secret"])
    decrypt = get_app_encryption_cipher().decrypt
    for app in apps:
        texts[f"app.api_key/{app.id}"] = decrypt(app.api_key).decode()
        texts[f"app.data/{app.id}"] = decrypt(app.data["connection_token"]).decode()
    return texts
