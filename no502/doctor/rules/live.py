"""E: what ``--live`` and ``--docker`` report: readers of what runs, as others are of files."""

from __future__ import annotations

from no502.doctor.finding import Severity
from no502.doctor.registry import reported

__all__: list[str] = []


proxy_answers_5xx = reported(
    "E901",
    "proxy-answers-5xx",
    Severity.ERROR,
    "nginx answers 502, 503 or 504, or does not answer",
    source="https://www.rfc-editor.org/rfc/rfc9110.html#name-502-bad-gateway",
)
application_does_not_answer = reported(
    "E902",
    "application-does-not-answer",
    Severity.ERROR,
    "the application does not answer a direct request, or answers with an error",
    source="https://www.rfc-editor.org/rfc/rfc9110.html#name-server-error-5xx",
)
idle_connection_closed_early = reported(
    "E903",
    "idle-connection-closed-early",
    Severity.WARNING,
    "the application closes idle keep-alive connections before nginx does (measured)",
    source="https://nginx.org/en/docs/http/ngx_http_upstream_module.html#keepalive_timeout",
)
forwarded_header_believed = reported(
    "E904",
    "forwarded-header-believed",
    Severity.WARNING,
    "the application trusts X-Forwarded-* headers that the client sent",
    source="https://nginx.org/en/docs/http/ngx_http_realip_module.html",
)
not_ready = reported(
    "E905",
    "not-ready",
    Severity.WARNING,
    "the readiness endpoint answers with an error",
    source="https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#container-probes",
)
small_body_limit = reported(
    "E906",
    "small-body-limit",
    Severity.INFO,
    "nginx rejects request bodies above its default client_max_body_size of 1 MiB",
    source="https://nginx.org/en/docs/http/ngx_http_core_module.html#client_max_body_size",
)
certificate = reported(
    "E907",
    "certificate",
    Severity.WARNING,
    "the TLS certificate is not trusted or expires soon",
    source="https://nginx.org/en/docs/http/configuring_https_servers.html",
)
container_out_of_memory = reported(
    "E908",
    "container-out-of-memory",
    Severity.ERROR,
    "the kernel OOM-killed a process of the container",
    source="https://docs.docker.com/engine/containers/resource_constraints/",
)
container_restarts = reported(
    "E909",
    "container-restarts",
    Severity.WARNING,
    "the container restarted because its process exited",
    source="https://docs.docker.com/engine/containers/start-containers-automatically/",
)
container_unhealthy = reported(
    "E910",
    "container-unhealthy",
    Severity.ERROR,
    "the container is unhealthy or exited with an error",
    source="https://docs.docker.com/reference/dockerfile/#healthcheck",
)
runs_something_else = reported(
    "E911",
    "runs-something-else",
    Severity.WARNING,
    "the running container differs from the files: other command line or stop timeout",
    source="https://docs.docker.com/reference/cli/docker/compose/up/",
)
