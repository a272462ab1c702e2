from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route


async def root(_request: object) -> PlainTextResponse:
    return PlainTextResponse("shop")


app = Starlette(routes=[Route("/", root)])
