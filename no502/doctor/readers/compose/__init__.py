"""Compose: which files make one project, its services and their health checks."""
