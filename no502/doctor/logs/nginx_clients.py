"""nginx's messages about its clients and about itself."""

from no502.doctor.logs.message import Message, Severity, Shape

__all__ = ["CLIENTS"]

CLIENTS: tuple[Message, ...] = (
    Message(
        id="L922",
        slug="client-left",
        program="nginx",
        severity=Severity.INFO,
        shapes=(Shape(contains="client prematurely closed connection, so upstream connection is closed too"),),
        text=(
            ("epoll_wait() reported that client prematurely closed connection, so upstream connection is closed too"),
        ),
        cause=(
            "The client went away while the application worked: a closed tab, a client's or load balancer's "
            "timeout that is shorter than nginx's. Written at level info."
        ),
        get="499 in the access log. A load balancer in front has answered its own client with 504 meanwhile",
        post="the same; the handler may run on",
        prove=(
            "`$request_time` of the 499s: all near one number is a timeout in front of nginx, spread out is people.",
        ),
        fix=(
            "Raise the idle or read timeout of what stands in front, or lower `proxy_read_timeout` below it.",
            "`no502 doctor --front alb` compares the two.",
        ),
        rules=("T304", "T301"),
        evidence="`proxy_ignore_client_abort on` lets the handler finish and logs 200.",
    ),
    Message(
        id="L923",
        slug="body-too-large",
        program="nginx",
        severity=Severity.WARNING,
        shapes=(Shape(starts="client intended to send too large"),),
        text=("client intended to send too large body: N bytes",),
        cause="The request's body is larger than `client_max_body_size` (1 MB by default).",
        get="does not apply",
        post="413, before the application is asked",
        prove=("The number in the line against `nginx -T | grep client_max_body_size`.",),
        fix=("State the size that the application takes, in the location that takes it.",),
        evidence="11 MB with the default: 413.",
    ),
    Message(
        id="L933",
        slug="rate-limited",
        program="nginx",
        severity=Severity.INFO,
        shapes=(Shape(starts="limiting requests"), Shape(starts="limiting connections")),
        text=("limiting requests, excess: ... by zone ...", "limiting connections by zone ..."),
        cause="`limit_req` or `limit_conn` refused the request, on purpose.",
        get="503, or what `limit_req_status` says",
        post="the same",
        prove=("`$upstream_status` is empty: the application was not asked.",),
        fix=("`limit_req_status 429`, so that nobody looks for an outage; a burst that fits real clients.",),
        evidence="From nginx's documentation.",
    ),
    Message(
        id="L934",
        slug="nginx-worker-died",
        program="nginx",
        severity=Severity.ERROR,
        shapes=(Shape(starts="worker process", contains="exited on signal"),),
        text=("worker process N exited on signal N",),
        cause=(
            "One of nginx's own processes crashed or was killed (9: usually out of memory); its connections are gone."
        ),
        get="a reset connection",
        post="a reset connection",
        prove=("`dmesg | grep -i -e oom -e segfault`.",),
        fix=("More memory; for signal 11 leave out third-party modules or update nginx.",),
        evidence="From nginx's source.",
    ),
)
"""Messages that are not about the application."""
