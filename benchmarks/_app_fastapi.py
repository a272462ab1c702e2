"""The application under load: what FastAPI makes of one validated JSON body."""

import os
import time

from fastapi import FastAPI
from pydantic import BaseModel

__all__ = ["Item", "app"]

app = FastAPI(openapi_url=None)
time.sleep(float(os.environ.get("BENCH_BOOT_SECONDS", "0")))  # growth.py: an application that takes its time to boot


class Item(BaseModel):
    """The body of a request and of its response."""

    n: int


@app.post("/")
async def echo(item: Item) -> Item:
    """Answer with the number that was sent, so that a client sees whether the response is its own."""
    return item
