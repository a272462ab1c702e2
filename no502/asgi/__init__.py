"""What stands around the routes of an ASGI application."""
