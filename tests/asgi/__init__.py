"""The parts around the routes, each alone and all together in a FastAPI application."""
