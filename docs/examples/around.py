"""An existing FastAPI application with the parts of no502.asgi around it."""

from fastapi import FastAPI

from gunicorn_conf import settings
from no502 import asgi

asgi.configure("info", "auto")  # JSON lines, or text on a terminal
health = asgi.Health()  # health.add(asgi.Check(name="database", probe=ping)) for each thing that must be there
app = FastAPI()
asgi.install(app)  # HTTP and validation errors as problem+json
for layer, options in (  # the first one is the innermost
    (asgi.EndStreams, {}),
    (asgi.DeadlineMiddleware, {"seconds": settings.request_deadline}),
    (asgi.ErrorBoundary, {}),
    (asgi.OverloadMiddleware, {"limit": 100}),
    (asgi.HealthMiddleware, {"health": health}),
    (asgi.AccessLog, {}),
):
    app.add_middleware(layer, **options)


@app.get("/hello")
async def hello() -> dict[str, str]:
    """Answer."""
    return {"text": "hello"}
