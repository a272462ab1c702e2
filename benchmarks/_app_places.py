"""An application whose capacity is known: each worker has a few places, and a request keeps one for a fixed time.

As a pool of database connections would. 10 places of 50 ms are 200 requests a second for each worker.
"""

import asyncio

from fastapi import FastAPI
from pydantic import BaseModel

__all__ = ["PLACES", "SECONDS", "Item", "app"]

PLACES, SECONDS = 10, 0.05

app = FastAPI(openapi_url=None)
_places = asyncio.Semaphore(PLACES)


class Item(BaseModel):
    """The body of a request and of its response."""

    n: int


@app.post("/")
async def work(item: Item) -> Item:
    """Wait for a place, keep it for a moment, answer with the number that was sent."""
    async with _places:
        await asyncio.sleep(SECONDS)
    return item
