"""The generated service on a real Docker engine; run by scripts/docker-test only."""
