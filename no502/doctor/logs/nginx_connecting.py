"""nginx's messages before it has a connection to the application: addresses, sockets, names, limits."""

from no502.doctor.logs.message import Message, Severity, Shape

__all__ = ["CONNECTING"]

_CONNECTING = frozenset({"connecting to upstream"})
_ALL_502 = "502 at once"

CONNECTING: tuple[Message, ...] = (
    Message(
        id="L901",
        slug="connection-refused",
        program="nginx",
        severity=Severity.ERROR,
        shapes=(Shape(starts="connect()", errnos=frozenset({111}), phases=_CONNECTING),),
        text=("connect() failed (111: ...) while connecting to upstream",),
        cause=(
            "Nothing listens at the address: the application is down or still starting, binds another port, or "
            "binds 127.0.0.1 inside of its container. After a container was recreated: nginx still has the old "
            "address."
        ),
        get=_ALL_502,
        post=_ALL_502,
        prove=(
            (
                'The line ends with `upstream: "http://ADDRESS"`: ask that address from where nginx runs, `curl -i '
                "http://ADDRESS/health/live`."
            ),
            (
                "Where the application runs, `ss -ltn` shows what it listens on; `127.0.0.1:8000` in a container is "
                "the mistake."
            ),
            (
                "In Compose, compare ADDRESS with `docker compose exec nginx getent hosts NAME`: different means a "
                "name that was resolved once, at nginx's start."
            ),
        ),
        fix=(
            "Let nginx's address and gunicorn's bind agree.",
            "Start nginx after the application is healthy (`depends_on` with `condition: service_healthy`).",
            (
                "A name that can move: `server NAME resolve` with `zone` and `resolver` (nginx 1.27.3 or later), "
                "else reload nginx after each recreate."
            ),
        ),
        rules=("A101", "A102", "A103", "S507"),
        versions="With one server in the upstream `max_fails` is ignored, so service is back as soon as it listens.",
        evidence="Both nginx versions; a name that moved answered 502 to 24 of 24 requests until the reload.",
    ),
    Message(
        id="L902",
        slug="socket-missing",
        program="nginx",
        severity=Severity.ERROR,
        shapes=(Shape(starts="connect() to unix:", errnos=frozenset({2}), phases=_CONNECTING),),
        text=("connect() to unix:... failed (2: ...) while connecting to upstream",),
        cause=(
            "The unix socket's file does not exist where nginx looks: gunicorn is down, writes it elsewhere, or "
            "the two containers do not share the directory."
        ),
        get=_ALL_502,
        post=_ALL_502,
        prove=(
            "`ls -l SOCKET` as nginx sees it (inside of its container or with its `PrivateTmp`).",
            "`ss -lx` where gunicorn runs shows the path it listens on.",
        ),
        fix=(
            (
                "One directory for both (`RuntimeDirectory=` in systemd, a shared volume in Compose); never `/tmp` "
                "under `PrivateTmp=yes`."
            ),
        ),
        rules=("A101", "A107"),
        evidence="Reproduced on both nginx versions.",
    ),
    Message(
        id="L903",
        slug="socket-permission",
        program="nginx",
        severity=Severity.ERROR,
        shapes=(Shape(starts="connect() to unix:", errnos=frozenset({13}), phases=_CONNECTING),),
        text=("connect() to unix:... failed (13: ...) while connecting to upstream",),
        cause=(
            "nginx's user may not write to the socket or may not pass through a directory above it. On SELinux "
            "the file mode can be right and the policy still refuses."
        ),
        get=_ALL_502,
        post=_ALL_502,
        prove=(
            "`namei -l SOCKET` shows owner and mode of every directory on the way.",
            "`ps -o user= -C nginx` shows whom nginx runs as.",
        ),
        fix=(
            (
                "Put nginx's user into the socket's group, and let gunicorn's `umask` (or the systemd socket unit's "
                "`SocketMode=`) give the group write access."
            ),
        ),
        rules=("A107",),
        evidence="Reproduced on both nginx versions.",
    ),
    Message(
        id="L904",
        slug="backlog-full",
        program="nginx",
        severity=Severity.ERROR,
        shapes=(Shape(starts="connect() to unix:", errnos=frozenset({11}), phases=_CONNECTING),),
        text=("connect() to unix:... failed (11: ...) while connecting to upstream",),
        cause=(
            "The listen queue of the unix socket is full: the workers accept more slowly than requests arrive "
            "(blocked event loops, too few workers). A unix socket refuses at once where TCP retries."
        ),
        get=_ALL_502,
        post=_ALL_502,
        prove=(
            "`ss -lx` shows Recv-Q (waiting) and Send-Q (limit) of the socket.",
            "`sysctl net.core.somaxconn`: the kernel cuts gunicorn's `backlog` to it.",
            "`WORKER TIMEOUT` (L951) near it: the loop was blocked, the queue is only the consequence.",
        ),
        fix=(
            ("Find what blocks the loop first; then more workers; then `backlog` and `net.core.somaxconn` together."),
        ),
        rules=("B704",),
        evidence="Reproduced on both nginx versions with a full queue.",
    ),
    Message(
        id="L905",
        slug="connect-timeout",
        program="nginx",
        severity=Severity.ERROR,
        shapes=(
            Shape(starts="upstream timed out", errnos=frozenset({110}), phases=_CONNECTING),
            Shape(starts="connect()", errnos=frozenset({110}), phases=_CONNECTING),
        ),
        text=("upstream timed out (110: ...) while connecting to upstream",),
        cause=(
            "No answer to the connection attempt: the address belongs to a container or host that is gone (it "
            "does not refuse, it is silent), a firewall drops packets, or the TCP listen queue is full."
        ),
        get="504 after `proxy_connect_timeout` (60 s by default), or another server's answer",
        post="the same: nothing has been sent yet, so a POST may go to the next server too",
        prove=(
            "`$upstream_connect_time` in the access log is `-` or the timeout.",
            "`nc -vz -w 3 HOST PORT` from where nginx runs.",
            "`ss -ltn` where the application runs: Recv-Q at its limit means a full queue.",
        ),
        fix=(
            "`proxy_connect_timeout 2s`: a neighbour answers at once or not at all.",
            "`resolve` for names that move, so that dead addresses leave.",
        ),
        rules=("A103", "T301", "B704"),
        evidence=(
            "nginx 1.22 with a static name, one replica rolled: every client hung 60 s; `proxy_connect_timeout "
            "1s` made it one slow second."
        ),
    ),
    Message(
        id="L906",
        slug="network-unreachable",
        program="nginx",
        severity=Severity.ERROR,
        shapes=(Shape(starts="connect()", errnos=frozenset({101, 113}), phases=_CONNECTING),),
        text=(
            "connect() failed (113: ...) while connecting to upstream",
            "connect() failed (101: ...) while connecting to upstream",
        ),
        cause=(
            "No route: the other container is gone or on another network, or the name has an IPv6 address that "
            "this host cannot reach."
        ),
        get=_ALL_502,
        post=_ALL_502,
        prove=(
            "`getent ahosts NAME` where nginx runs: is the address in the line still the name's?",
            "`docker network inspect NETWORK`: are both containers on it?",
        ),
        fix=(
            ("One network for both; `resolver ... ipv6=off` where IPv6 leads nowhere; `resolve` for names that move."),
        ),
        rules=("A103", "A104"),
        evidence="From nginx's source; the same path as L901.",
    ),
    Message(
        id="L907",
        slug="no-local-port",
        program="nginx",
        severity=Severity.ERROR,
        shapes=(Shape(starts="connect()", errnos=frozenset({99}), phases=_CONNECTING),),
        text=("connect() to ... failed (99: ...) while connecting to upstream",),
        cause=(
            "All local ports towards this address are in use or in TIME_WAIT: a new connection for each "
            "request, faster than they expire."
        ),
        get=_ALL_502,
        post=_ALL_502,
        prove=("`ss -tan state time-wait | wc -l` against `sysctl net.ipv4.ip_local_port_range`.",),
        fix=("An explicit `upstream` block with keep-alive, so that connections are reused.",),
        rules=("K203",),
        versions=(
            "A literal `proxy_pass http://HOST:PORT` is pooled by no version; an `upstream` block is by default "
            "since 1.29.7."
        ),
        evidence="From nginx's source.",
    ),
    Message(
        id="L908",
        slug="no-live-upstreams",
        program="nginx",
        severity=Severity.ERROR,
        shapes=(Shape(starts="no live upstreams"),),
        text=("no live upstreams while connecting to upstream",),
        cause=(
            "Every one of two or more servers has failed `max_fails` times (1 by default) and is left out for "
            "`fail_timeout` (10 s by default). One slow or refused request each is enough; a name with two "
            "addresses (`localhost` with IPv6) counts as two servers. Or `resolve` got an answer without "
            "addresses."
        ),
        get=_ALL_502 + ", for everything, until `fail_timeout` is over",
        post="the same",
        prove=(
            (
                "`upstream server temporarily disabled` (L909) stands before it; what disabled the servers stands "
                "before that."
            ),
            "`$upstream_addr` in the access log is the upstream's name, not an address.",
        ),
        fix=(
            (
                "`max_fails=1 fail_timeout=1s` for a name with `resolve`; `fail_timeout=0` or `max_fails=0` for "
                "fixed local servers."
            ),
            "Write 127.0.0.1, not localhost.",
        ),
        rules=("R401", "A104"),
        versions="One server is never left out, on any version.",
        evidence=(
            "Both servers down for 0.6 s: 200 again 10.5 to 10.8 s later. Rolling restart of two gunicorns 3 s "
            "apart: 7,199 of 14,000 requests 502; with `max_fails=0` 0 of 13,645."
        ),
    ),
    Message(
        id="L909",
        slug="server-disabled",
        program="nginx",
        severity=Severity.WARNING,
        shapes=(Shape(starts="upstream server temporarily disabled"),),
        text=("upstream server temporarily disabled while ...",),
        cause=(
            "One server has reached `max_fails` and is left out for `fail_timeout`. Harmless while others are left."
        ),
        get="nothing by itself",
        post="nothing by itself",
        prove=("The line before it in the same connection (`*N`) says what failed.",),
        fix=("As for L908; the cause is that of the line before it.",),
        rules=("R401",),
        evidence="Reproduced on both nginx versions.",
    ),
    Message(
        id="L924",
        slug="host-not-found-at-start",
        program="nginx",
        severity=Severity.ERROR,
        shapes=(Shape(starts="host not found in upstream"),),
        text=('host not found in upstream "..." in ...:N',),
        cause=(
            "A name in the configuration could not be resolved when nginx started. nginx does not start, or "
            "keeps the old configuration at a reload."
        ),
        get="no connection at all",
        post="no connection at all",
        prove=("`getent hosts NAME` where nginx runs; in Compose: is the service up, is it on the same network?",),
        fix=("`depends_on` with `condition: service_healthy`, or `server NAME resolve` (nginx 1.27.3 or later).",),
        rules=("A103", "S507"),
        versions=(
            "`resolve` in the open-source nginx needs 1.27.3; before it only a variable in `proxy_pass`, which "
            "is not pooled."
        ),
        evidence="Reproduced on both nginx versions.",
    ),
    Message(
        id="L925",
        slug="name-not-resolved",
        program="nginx",
        severity=Severity.ERROR,
        shapes=(Shape(contains=" could not be resolved ("),),
        text=(
            "... could not be resolved (2: ...)",
            "... could not be resolved (3: ...)",
            "... could not be resolved (110: ...)",
        ),
        cause=(
            "The resolver did not know the name (3), failed (2) or did not answer (110) while a request waited for it."
        ),
        get="502; after `resolver_timeout` (30 s by default) for 110",
        post="the same",
        prove=("Ask the server of the `resolver` line: `dig @RESOLVER NAME`.",),
        fix=(
            "`resolver_timeout 2s`.",
            "`server NAME resolve` in an upstream block: a failing resolver (2) then keeps the last addresses.",
        ),
        rules=("A103",),
        evidence="With `resolve` a SERVFAIL keeps the addresses (200); an NXDOMAIN empties them (L908).",
    ),
    Message(
        id="L926",
        slug="no-resolver",
        program="nginx",
        severity=Severity.ERROR,
        shapes=(Shape(starts="no resolver defined to resolve"),),
        text=("no resolver defined to resolve ...",),
        cause="`proxy_pass` has a variable with a name in it, and there is no `resolver`.",
        get=_ALL_502,
        post=_ALL_502,
        prove=("`nginx -T | grep resolver` finds none in this server.",),
        fix=("`resolver 127.0.0.11 valid=5s;` in Docker, the host's own elsewhere.",),
        rules=("A103",),
        evidence="Reproduced on both nginx versions.",
    ),
    Message(
        id="L927",
        slug="worker-connections",
        program="nginx",
        severity=Severity.ERROR,
        shapes=(Shape(contains="worker_connections are not enough"),),
        text=("N worker_connections are not enough",),
        cause=(
            "nginx's worker process has no connection slot left. A proxied request takes two, an idle "
            "keep-alive client or a WebSocket holds on to its own."
        ),
        get="500, or the connection is closed",
        post="the same",
        prove=("`ss -tn state established | wc -l` against `worker_connections` times `worker_processes`.",),
        fix=("Raise `worker_connections` and `worker_rlimit_nofile` (twice as large) together.",),
        rules=("B703",),
        evidence="Reproduced on both nginx versions.",
    ),
    Message(
        id="L928",
        slug="open-files",
        program="nginx",
        severity=Severity.ERROR,
        shapes=(
            Shape(starts="the new socket has number"),
            Shape(contains="() failed", errnos=frozenset({24})),
            Shape(contains=" failed (24: "),
        ),
        text=("the new socket has number N, but only N files are available", "socket() failed (24: ...)"),
        cause="The process may not open more files: every connection is one.",
        get="500, 502 or no answer",
        post="the same",
        prove=("`grep 'open files' /proc/PID/limits` of a worker process; `ls /proc/PID/fd | wc -l`.",),
        fix=("`worker_rlimit_nofile`, and `LimitNOFILE=` or the container's ulimit.",),
        rules=("B703",),
        evidence="From nginx's source.",
    ),
    Message(
        id="L935",
        slug="address-in-use",
        program="nginx",
        severity=Severity.ERROR,
        shapes=(Shape(starts="bind() to", errnos=frozenset({98})),),
        text=("bind() to ... failed (98: ...)",),
        cause="Something else listens on nginx's port; nginx does not start.",
        get="whatever the other program answers",
        post="the same",
        prove=("`ss -ltnp` shows who has the port.",),
        fix=("Stop the other one, or change `listen`.",),
        evidence="From nginx's source.",
    ),
)
"""Messages before the connection stands, in the order of their ids."""
