"""Rules on deployments built by hand: where the version of nginx or the worker class decides."""

import pytest

from no502.doctor.check import check, findings_of
from no502.doctor.finding import Confidence, Finding, Severity
from no502.doctor.front import FRONTS, front_of
from no502.doctor.model import Address, Deployment, Fact, Origin, ServiceKind, Source, Version
from no502.doctor.registry import AREAS, rules
from tests.doctor.build import NEW, OLD, app, default, deployment, nginx, service, stated

HERE = Address(host="127.0.0.1", port=8000)


def found(target: Deployment, *ids: str) -> list[Finding]:
    """Return what the named rules (all if none is named) find."""
    return findings_of(target, [rule for rule in rules().values() if not ids or rule.id in ids])


def ids(target: Deployment) -> set[str]:
    """Return the ids of everything that is found."""
    return {finding.rule for finding in found(target)}


def test_ids_and_slugs_are_unique_and_well_formed() -> None:
    """An id is the letter of an area and three digits; no slug is used twice."""
    everything = rules()
    assert all(id_[0] in AREAS and id_[1:].isdigit() and len(id_) == 4 for id_ in everything)
    assert len({rule.slug for rule in everything.values()}) == len(everything)


@pytest.mark.parametrize(
    ("versions", "expected"),
    [((NEW,), {"K201"}), ((OLD,), set()), ((OLD, NEW), {"K202"}), (((1, 29, 7),), {"K201"}), (((1, 29, 6),), set())],
)
def test_a_block_without_keepalive_races_from_1_29_7_on(versions: tuple[Version, ...], expected: set[str]) -> None:
    """No file sets ``keepalive``: the version decides, and a floating one is judged on both sides."""
    target = deployment(nginx(HERE, versions=versions), app())
    assert {finding.rule for finding in found(target, "K201", "K202")} == expected


@pytest.mark.parametrize(
    ("settings", "headers", "races"),
    [
        ({}, {}, False),
        ({"proxy_http_version": stated("1.1")}, {}, False),
        ({"proxy_http_version": stated("1.1")}, {"connection": stated("")}, True),
        ({"proxy_http_version": stated("1.1")}, {"connection": stated("close")}, False),
        ({"proxy_http_version": stated("1.1")}, {"connection": stated("upgrade")}, True),
        ({"proxy_http_version": stated("1.1")}, {"connection": stated("$connection_upgrade")}, False),
    ],
)
def test_an_old_nginx_races_only_with_the_whole_recipe(
    settings: dict[str, Fact[str]], headers: dict[str, Fact[str]], races: bool
) -> None:
    """Before 1.29.7 it takes keepalive, HTTP/1.1 and a Connection header without close."""
    block = nginx(HERE, versions=(OLD,), upstream={"keepalive": stated(16)}, settings=settings, headers=headers)
    assert bool(found(deployment(block, app()), "K201")) is races


@pytest.mark.parametrize(
    ("server", "races"),
    [
        (app(keepalive=75), False),
        (app(keepalive=60), True),
        (app(worker_class="sync"), False),
        (app(worker_class="sync", threads=4), True),
        (app(worker_class="gthread", keepalive=0), False),
        (app("uvicorn"), True),
        (app(keepalive=Fact(None, Origin(file="gunicorn.conf.py", source=Source.UNKNOWN))), False),
    ],
)
def test_the_application_side_of_the_race(server: object, races: bool) -> None:
    """A tie is a race; sync workers close with every response; what is not known is not judged."""
    assert bool(found(deployment(nginx(HERE), server), "K201")) is races  # type: ignore[arg-type]


def test_no_pool_no_race() -> None:
    """``keepalive 0`` and an address in proxy_pass never reuse a connection."""
    assert not found(deployment(nginx(HERE, upstream={"keepalive": stated(0)}), app()), "K201")
    assert not found(deployment(nginx(HERE, explicit=False), app()), "K201")


@pytest.mark.parametrize(
    ("worker_class", "timeout", "severity"),
    [
        ("sync", 60, Severity.WARNING),
        ("sync", 59, None),
        ("uvicorn_worker.UvicornWorker", 120, Severity.INFO),
        ("gthread", 120, Severity.INFO),
        ("some.Other", 120, None),
    ],
)
def test_the_timeout_order_depends_on_the_worker_class(
    worker_class: str, timeout: int, severity: Severity | None
) -> None:
    """gunicorn's timeout ends requests of sync workers only."""
    target = deployment(nginx(HERE), app(worker_class=worker_class, timeout=timeout))
    assert [finding.severity for finding in found(target, "T301")] == ([severity] if severity else [])


@pytest.mark.parametrize(
    ("worker_class", "wait", "fires"),
    [
        ("sync", stated(300.0), True),
        ("sync", default(60.0), False),
        ("uvicorn_worker.UvicornWorker", stated(300.0), False),
        ("gthread", stated(300.0), False),
    ],
)
def test_only_sync_workers_are_killed_for_long_requests(worker_class: str, wait: Fact[float], fires: bool) -> None:
    """A raised proxy_read_timeout is in vain with sync workers; the others let a request run on."""
    block = nginx(HERE, settings={"proxy_read_timeout": wait})
    assert bool(found(deployment(block, app(worker_class=worker_class)), "T303")) is fires


def test_requests_that_were_given_time_and_fail_are_an_error() -> None:
    """A 502 for every request that takes the time which nginx's configuration allows is normal operation."""
    block = nginx(HERE, settings={"proxy_read_timeout": stated(300.0)})
    [finding] = found(deployment(block, app(worker_class="sync")), "T303")
    assert finding.severity is Severity.ERROR


def test_unknown_values_are_listed_and_not_judged() -> None:
    """A template value gives no finding and one entry under "not checked"."""
    hidden: Fact[float] = Fact(None, Origin(file="nginx.conf", line=12, source=Source.TEMPLATE, note="${WAIT}"))
    target = deployment(nginx(HERE, settings={"proxy_read_timeout": hidden}), app(timeout=100, worker_class="sync"))
    result = check(target, list(rules().values()))
    assert "T301" not in {finding.rule for finding in result.findings}
    assert [gap.what for gap in result.not_checked] == ["proxy_read_timeout of location /"]


def test_a_service_by_name_on_another_port() -> None:
    """The name is the application's, the port is not."""
    server = app(service="web", bind=(Address(host="0.0.0.0", port=8000),))
    target = deployment(nginx(Address(host="web", port=8080)), server, service("web"))
    (finding,) = found(target, "A101")
    assert finding.confidence is Confidence.CERTAIN
    assert "web:8080" in finding.message


def test_another_backend_is_not_the_application() -> None:
    """A frontend that these files do not start is no mismatch, but is listed as not checked."""
    server = app(service="web", bind=(Address(host="0.0.0.0", port=8000),))
    target = deployment(
        nginx(Address(host="frontend", port=3000)),
        nginx(Address(host="web", port=8000)),
        server,
        service("web"),
        service("frontend"),
    )
    assert not found(target, "A101")
    assert "the application at frontend:3000" in {gap.what for gap in check(target, []).not_checked}


def test_one_address_and_one_server_that_do_not_meet() -> None:
    """Without names to go by it is likely, if both are the only ones."""
    server = app(bind=(Address(host="127.0.0.1", port=8001),))
    (finding,) = found(deployment(nginx(HERE), server), "A101")
    assert finding.confidence is Confidence.LIKELY
    assert not found(deployment(nginx(HERE), server, app()), "A101")


def test_loopback_inside_a_container() -> None:
    """127.0.0.1 in a container is reached from there only; with nginx in the same one it is right."""
    server = app(service="web")
    apart = deployment(nginx(Address(host="web", port=8000), service="proxy"), server, service("web"), service("proxy"))
    assert "A102" in ids(apart)
    together = deployment(nginx(HERE, service="web"), server, service("web"))
    assert "A102" not in ids(together)


def test_several_peers_with_default_max_fails() -> None:
    """Two peers or two replicas are too many for max_fails=1; one peer is never taken out."""
    other = Address(host="127.0.0.1", port=8001)
    assert "R401" in ids(deployment(nginx(HERE, other), app()))
    assert "R401" not in ids(deployment(nginx(HERE, other, parameters={"max_fails": "0"}), app()))
    assert "R401" not in ids(deployment(nginx(HERE), app()))
    web = Address(host="web", port=8000)
    assert "R401" in ids(deployment(nginx(web), service("web", replicas=3)))


@pytest.mark.parametrize(
    ("kind", "grace", "rule"),
    [
        (ServiceKind.COMPOSE, 10.0, "S501"),
        (ServiceKind.COMPOSE, 40.0, None),
        (ServiceKind.SYSTEMD, 5.0, "S503"),
        (ServiceKind.SYSTEMD, 90.0, None),
        (ServiceKind.KUBERNETES, 30.0, "S505"),
    ],
)
def test_stop_grace_against_graceful_timeout(kind: ServiceKind, grace: float, rule: str | None) -> None:
    """What kills must wait longer than gunicorn takes; a tie is too short."""
    settings = {"stop_grace": grace, "pre_stop": 5.0}
    target = deployment(app(service="web"), service("web", kind, **settings))
    assert {f.rule for f in found(target, "S501", "S503", "S505")} == ({rule} if rule else set())


def test_one_worker_that_is_replaced() -> None:
    """max_requests with one worker, or with several and no jitter; the handover worker with its hooks has no gap."""
    assert "S506" in ids(deployment(app(workers=1, max_requests=1000, max_requests_jitter=50)))
    assert "S506" in ids(deployment(app(max_requests=1000)))
    assert "S506" not in ids(deployment(app(max_requests=1000, max_requests_jitter=200)))
    handover = app(workers=1, max_requests=9, worker_class="gunicorn_handover.HandoverWorker")
    assert "S506" in ids(deployment(handover))
    handover.conf_file = stated("python:gunicorn_conf")
    assert "S506" not in ids(deployment(handover))


def test_workers_that_are_replaced_without_a_handover() -> None:
    """max_requests with uvicorn's classes, however many workers; a HandoverWorker without hooks is one of them."""
    assert "S508" in ids(deployment(app(max_requests=1000, max_requests_jitter=200)))
    unknown: Fact[int] = Fact(None, Origin(file="gunicorn.conf.py", line=1, source=Source.UNKNOWN))
    assert "S508" in ids(deployment(app(max_requests=1000, workers=unknown)))
    assert "S508" not in ids(deployment(app(max_requests=0)))
    handover = app(max_requests=9, max_requests_jitter=1, worker_class="gunicorn_handover.HandoverWorker")
    assert "S508" in ids(deployment(handover))
    handover.conf_file = stated("python:gunicorn_conf")
    assert "S508" not in ids(deployment(handover))


@pytest.mark.parametrize("name", sorted(FRONTS))
def test_every_vendor_has_a_link_and_numbers(name: str) -> None:
    """What is said about a vendor says since when and where it is written."""
    front = front_of(name)
    assert "2026-11, https://" in front.note
    assert front.read is not None or front.idle is not None


def test_the_front_must_outlast_nginx() -> None:
    """A tie counts; a number of seconds is enough."""
    target = deployment(nginx(HERE, settings={"keepalive_timeout": default(75.0)}), app())
    target.front = front_of("alb")
    assert {f.rule for f in found(target, "T304", "K206")} == {"T304"}
    target.front = front_of("gcp")
    assert {f.rule for f in found(target, "T304", "K206")} == {"T304", "K206"}
    target.front = front_of("61")
    assert not found(target, "T304", "K206")
    with pytest.raises(ValueError, match=r"seconds .* or one of alb"):
        front_of("nimbus")
    with pytest.raises(ValueError, match=r"HAProxy has no default timeouts.*; give a number of seconds"):
        front_of("haproxy")


def test_a_front_that_pools_no_connections_asks_nothing_of_keepalive() -> None:
    """An NLB and API Gateway have a limit for responses only."""
    target = deployment(nginx(HERE, settings={"keepalive_timeout": default(75.0)}), app())
    target.front = front_of("apigateway")
    assert {f.rule for f in found(target, "T304", "K206")} == {"T304"}
    target.front = front_of("nlb")
    assert not found(target, "T304", "K206")
