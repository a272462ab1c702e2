"""Public images that start a server by themselves, with a command that stands in none of a project's files."""

from __future__ import annotations

import re

from no502.doctor.model import Service
from no502.doctor.reach import Reach
from no502.doctor.readers.compose.project import ComposeService

__all__ = ["image_start", "is_other_program"]

_TIANGOLO = re.compile(r"(?:^|/)tiangolo/uvicorn-gunicorn(?:-fastapi|-starlette)?(?:[:@].*)?$")
"""gunicorn on port 80 unless a variable says otherwise. https://github.com/tiangolo/uvicorn-gunicorn-docker#port"""
_DECIDE = ("BIND", "HOST", "PORT")
_OTHERWISE = "GUNICORN_CONF"
_CONF = "/gunicorn_conf.py"


_OTHERS = re.compile(
    r"(?:^|/)(?:postgres|postgresql|postgis|pgbouncer|pgadmin\d*|timescaledb|mysql|mysql-server|mariadb|percona|redis"
    r"|redis-stack|redis-commander|valkey|keydb|memcached|mongo|mongodb|mongo-express|rabbitmq|nats|kafka|cp-kafka|zookeeper"
    r"|elasticsearch|opensearch|kibana|logstash|fluentd|fluent-bit|minio|mc|vault|consul|etcd|prometheus|alertmanager"
    r"|node-exporter|[\w-]+-exporter|[\w-]+_exporter|grafana|loki|promtail|jaeger|all-in-one|traefik|caddy|haproxy|envoy|httpd"
    r"|busybox|alpine|debian|ubuntu|node|kubectl|adminer|phpmyadmin|mailhog|mailpit|certbot|clickhouse-server|neo4j"
    r"|qdrant|weaviate|cassandra|influxdb|keycloak|metabase|sonarqube|jenkins|registry|pause|cloudflared|flower)"
    r"(?::[^/@]*)?(?:@.*)?$",
    re.IGNORECASE,
)
"""Images of databases, brokers, monitoring and other programs, by the last part of their names."""


def is_other_program(service: Service) -> bool:
    """Whether a container's image is that of a database, a broker or another program known by its name.

    Such an image is none that a Dockerfile of the project builds.
    """
    image = service.settings.image
    return image is not None and _OTHERS.search(str(image.value or "")) is not None


def image_start(one: ComposeService, reach: Reach) -> tuple[str, ...]:
    """Return the words that the image of a container runs where its files give none; empty for an unknown image.

    Args:
        one: The container.
        reach: Which files may be looked for.
    """
    fact = one.service.settings.image
    name = one.image.base if one.image is not None else str(fact.value or "") if fact is not None else ""
    environment = one.service.environment
    conf = any(here.name == "gunicorn_conf.py" or reach.has(here / "gunicorn_conf.py") for here in one.mounts.values())
    if one.argv or _TIANGOLO.search(name) is None or _OTHERWISE in environment or conf:
        return ()
    given = {key: environment[key] for key in _DECIDE if key in environment}
    if not all(fact.known for fact in given.values()):
        return ()
    values = {key: fact.value for key, fact in given.items()}
    bind = values.get("BIND") or f"{values.get('HOST') or '0.0.0.0'}:{values.get('PORT') or 80}"  # noqa: S104
    return ("gunicorn", "-c", _CONF, "-b", bind, "app.main:app")
