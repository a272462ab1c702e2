"""The application under load: what FastAPI makes of one validated JSON body."""

from fastapi import FastAPI
from pydantic import BaseModel

__all__ = ["Item", "app"]

app = FastAPI(openapi_url=None)


class Item(BaseModel):
    """The body of a request and of its response."""

    n: int


@app.post("/")
async def echo(item: Item) -> Item:
    """Answer with the number that was sent, so that a client sees whether the response is its own."""
    return item
