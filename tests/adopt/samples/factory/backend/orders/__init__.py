from fastapi import FastAPI


def create_app() -> FastAPI:
    app = FastAPI()

    @app.get("/livez")
    async def livez() -> dict[str, str]:
        return {"status": "alive"}

    return app
