"""Sample routes: replace them with your own. Deleting this file takes its line in app/main.py and its test with it."""

import asyncio
from collections.abc import AsyncIterator

from fastapi import APIRouter
from pydantic import BaseModel, Field
from starlette.responses import StreamingResponse

from app.asgi import within

__all__ = ["router"]

router = APIRouter(prefix="/api", tags=["example"])


class Greeting(BaseModel):
    """Whom to greet, or the greeting."""

    text: str = Field(min_length=1, max_length=200)


@router.post("/greetings", status_code=201, dependencies=[within(5)])
async def greet(name: Greeting) -> Greeting:
    """Greet; five seconds are plenty."""
    return Greeting(text=f"Hello, {name.text}")


@router.get("/ticks", response_class=StreamingResponse)
async def ticks(count: int = 10) -> StreamingResponse:
    """Send one server-sent event a second; asgi.EndStreams ends it between two events when the worker drains."""

    async def events() -> AsyncIterator[str]:
        for number in range(count):
            yield f"data: {number}\n\n"
            await asyncio.sleep(1)

    # The second header tells nginx to pass each event on at once.
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(events(), media_type="text/event-stream", headers=headers)
