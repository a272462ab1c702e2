"""E: what ``no502 doctor --live`` and ``--docker`` report. They are not run from files."""

from __future__ import annotations

from no502.doctor.finding import Severity
from no502.doctor.registry import Rule

__all__ = ["E901", "E902", "E903", "E904", "E905", "E906", "E907", "E908", "E909", "E910", "E911", "RULES"]

E901 = Rule(
    id="E901",
    slug="proxy-answers-5xx",
    severity=Severity.ERROR,
    summary="nginx answers 502, 503 or 504, or does not answer",
    source="https://www.rfc-editor.org/rfc/rfc9110.html#name-502-bad-gateway",
)
E902 = Rule(
    id="E902",
    slug="application-does-not-answer",
    severity=Severity.ERROR,
    summary="the application itself does not answer, or answers with an error",
    source="https://www.rfc-editor.org/rfc/rfc9110.html#name-server-error-5xx",
)
E903 = Rule(
    id="E903",
    slug="idle-connection-closed-early",
    severity=Severity.WARNING,
    summary="the application closed an idle connection before nginx would have",
    source="https://nginx.org/en/docs/http/ngx_http_upstream_module.html#keepalive_timeout",
)
E904 = Rule(
    id="E904",
    slug="forwarded-header-believed",
    severity=Severity.WARNING,
    summary="a client's own X-Forwarded-* header comes back in the answer",
    source="https://nginx.org/en/docs/http/ngx_http_realip_module.html",
)
E905 = Rule(
    id="E905",
    slug="not-ready",
    severity=Severity.WARNING,
    summary="the readiness endpoint answers with an error",
    source="https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#container-probes",
)
E906 = Rule(
    id="E906",
    slug="small-body-limit",
    severity=Severity.INFO,
    summary="nginx refuses bodies above its default of 1 MiB",
    source="https://nginx.org/en/docs/http/ngx_http_core_module.html#client_max_body_size",
)
E907 = Rule(
    id="E907",
    slug="certificate",
    severity=Severity.WARNING,
    summary="the certificate is not trusted, or ends soon",
    source="https://nginx.org/en/docs/http/configuring_https_servers.html",
)
E908 = Rule(
    id="E908",
    slug="container-out-of-memory",
    severity=Severity.ERROR,
    summary="a container was OOM-killed",
    source="https://docs.docker.com/engine/containers/resource_constraints/",
)
E909 = Rule(
    id="E909",
    slug="container-restarts",
    severity=Severity.WARNING,
    summary="a container was restarted since it was made",
    source="https://docs.docker.com/engine/containers/start-containers-automatically/",
)
E910 = Rule(
    id="E910",
    slug="container-unhealthy",
    severity=Severity.ERROR,
    summary="a container is unhealthy, or ended with an error",
    source="https://docs.docker.com/reference/dockerfile/#healthcheck",
)
E911 = Rule(
    id="E911",
    slug="runs-something-else",
    severity=Severity.WARNING,
    summary="a container runs with other numbers than the files say",
    source="https://docs.docker.com/reference/cli/docker/compose/up/",
)
RULES = (E901, E902, E903, E904, E905, E906, E907, E908, E909, E910, E911)
