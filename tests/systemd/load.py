"""POSTs at a fixed rate, regardless of the earlier ones: each on a connection of its own, each counted once.

They come from many addresses of the loopback network: nginx bounds the requests in flight of each client.

``python -m tests.systemd.load URL RATE SECONDS`` prints what the answers were, as JSON, and the longest time to one.
"""

import asyncio
import json
import sys
import time
from collections import Counter
from urllib.parse import urlsplit

__all__ = ["main"]

_PATIENCE = 90.0
"""Seconds after which a client gives up."""
_CLIENTS = 50
_BODY = b'{"text": "load"}'


async def _post(host: str, port: int, path: str, client: str) -> str:
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nConnection: close\r\n"
    reader, writer = await asyncio.open_connection(host, port, local_addr=(client, 0))
    try:
        writer.write(f"{head}Content-Length: {len(_BODY)}\r\n\r\n".encode() + _BODY)
        answer = await reader.read()
    finally:
        writer.close()
    return answer.split(maxsplit=2)[1].decode() if answer.startswith(b"HTTP/1.") else "closed without an answer"


async def _load(url: str, rate: float, seconds: float) -> dict[str, object]:
    parts = urlsplit(url)
    outcomes: Counter[str] = Counter()
    slowest = 0.0

    async def one(number: int) -> None:
        nonlocal slowest
        due = begin + number / rate
        await asyncio.sleep(due - time.monotonic())
        try:
            outcome = await asyncio.wait_for(
                _post(parts.hostname or "", parts.port or 80, parts.path, f"127.0.0.{number % _CLIENTS + 1}"), _PATIENCE
            )
        except (OSError, TimeoutError) as error:
            outcome = type(error).__name__
        outcomes[outcome] += 1
        slowest = max(slowest, time.monotonic() - due)

    begin = time.monotonic()
    async with asyncio.TaskGroup() as group:
        for number in range(int(rate * seconds)):
            group.create_task(one(number))
    return {"outcomes": dict(outcomes), "slowest": round(slowest, 3)}


def main() -> None:
    """Send the load and print the counts."""
    url, rate, seconds = sys.argv[1:]
    print(json.dumps(asyncio.run(_load(url, float(rate), float(seconds)))), flush=True)  # noqa: T201  this is its result


if __name__ == "__main__":
    main()
