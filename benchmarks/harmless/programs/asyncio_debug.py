"""asyncio: its debug log, tasks that fail, and slow callbacks."""

import asyncio
import logging
import sys
import time

logging.basicConfig(stream=sys.stdout, level=logging.DEBUG, format="%(asctime)s %(levelname)s %(name)s %(message)s")


async def get_token(service: str) -> str:
    await asyncio.sleep(0)
    raise TimeoutError(f"no token for {service} within 5 seconds")


async def refresh(service: str) -> None:
    token = await get_token(service)
    print(token)


async def slow(secret: str | None = None, password_file: str = "/run/secrets/db_password") -> None:
    time.sleep(0.12)


async def forgotten() -> None: ...


async def main() -> None:
    for service in ("billing", "mail", "token-service", "secret-store"):
        failing = asyncio.create_task(refresh(service), name=f"refresh-token-{service}")
        await asyncio.sleep(0.01)
        del failing
        await asyncio.create_task(slow(), name=f"password-check-{service}")
        results = await asyncio.gather(
            get_token(service), asyncio.wait_for(get_token(service), 1), return_exceptions=True
        )
        logging.getLogger("svc").error("cannot refresh", exc_info=results[0])
    forgotten()
    loop = asyncio.get_running_loop()
    loop.call_exception_handler({"message": "password callback failed", "exception": ValueError("token: None")})
    server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    writer.write(b"token\n")
    await reader.read()
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(get_token("a"))
            group.create_task(refresh("b"))
    except ExceptionGroup:
        logging.getLogger("svc").exception("group failed")


asyncio.run(main(), debug=True)
