"""What gunicorn, uvicorn and the handover write about workers, in their own words."""

from no502.doctor.logs.message import Message, Severity, Shape

__all__ = ["APPLICATION"]

_PROGRAM = "gunicorn, uvicorn"

APPLICATION: tuple[Message, ...] = (
    Message(
        id="L951",
        slug="worker-timeout",
        program=_PROGRAM,
        severity=Severity.ERROR,
        shapes=(Shape(starts="WORKER TIMEOUT"),),
        text=("WORKER TIMEOUT (pid:N)",),
        cause=(
            "No sign of life from the worker for `timeout` seconds. With an async worker that is a blocked "
            "event loop, not a slow request; with sync it is a slow request. It also happens to a worker that "
            "drains for too long without heartbeat (uvicorn-worker, asgi)."
        ),
        get="502 (L911) for every request on that worker, unless the repeat reaches another one",
        post="502 for every request on that worker",
        prove=(
            (
                "`faulthandler.enable()` inside of the worker prints the stack that blocks at SIGABRT (the handover "
                "does this)."
            ),
            "`Shutting down` or `request limit` shortly before it: it was draining.",
        ),
        fix=(
            "Move what blocks into a thread (`def` endpoint, `anyio.to_thread`) or out of the process.",
            "Raising `timeout` only lengthens the stall.",
        ),
        rules=("B706", "T301", "S506", "S508"),
        versions=(
            "uvicorn-worker's heartbeat comes every `timeout / 2`: only half of `timeout` is safe to block. The "
            "handover's comes every second."
        ),
        evidence="timeout 3: the blocker and ten innocent requests all 502 after 3.8 s.",
    ),
    Message(
        id="L952",
        slug="worker-killed",
        program=_PROGRAM,
        severity=Severity.ERROR,
        shapes=(Shape(starts="Worker (pid:", contains="was sent SIGKILL"),),
        text=("Worker (pid:N) was sent SIGKILL! Perhaps out of memory?",),
        cause=(
            "SIGKILL: the kernel's memory killer, or gunicorn itself after a `WORKER TIMEOUT` or after "
            '`graceful_timeout`. gunicorn says "Perhaps out of memory?" in every case.'
        ),
        get="502 (L911) unless the repeat succeeds",
        post="502 (L911)",
        prove=(
            "`WORKER TIMEOUT` for the same pid up to two seconds before it: blocked, not memory.",
            "`graceful_timeout` after a signal or a recycle: it did not leave in time.",
            (
                "`dmesg | grep -i oom`, `docker inspect -f '{{.State.OOMKilled}}' CONTAINER`, `memory.events` of "
                "the control group."
            ),
        ),
        fix=(
            "Memory: fewer workers (one per CPU of the quota, not of the machine) or a higher limit.",
            "Blocked or slow to leave: see L951, and a drain that ends before `graceful_timeout`.",
        ),
        rules=("B705", "S501"),
        versions="gunicorn's asgi worker handles SIGABRT in the loop, so a blocked one is always reported like this.",
        evidence="A blocked asgi worker is logged so without any lack of memory.",
    ),
    Message(
        id="L953",
        slug="worker-signalled",
        program=_PROGRAM,
        severity=Severity.WARNING,
        shapes=(
            Shape(starts="Worker (pid:", contains="was sent SIG"),
            Shape(starts="Worker (pid:", contains="exited with code"),
        ),
        text=(
            "Worker (pid:N) was sent SIGSEGV!",
            "Worker (pid:N) was sent SIGABRT!",
            "Worker (pid:N) exited with code N.",
        ),
        cause=(
            "A worker ended by itself or by a signal: SIGABRT follows a `WORKER TIMEOUT`, SIGSEGV is a crash in "
            "a C extension, code 3 is a failed start (L955), SIGTERM somebody's request."
        ),
        get="502 (L911) unless the repeat succeeds",
        post="502 (L911) for what was running",
        prove=("The lines of the same pid before it.",),
        fix=("SIGSEGV: `faulthandler` names the extension. Others: as the lines before say.",),
        evidence="From gunicorn's source.",
    ),
    Message(
        id="L955",
        slug="boot-failed",
        program=_PROGRAM,
        severity=Severity.ERROR,
        shapes=(
            Shape(contains="Worker failed to boot."),
            Shape(contains="App failed to load."),
            Shape(starts="Exception in worker process"),
            Shape(starts="Application startup failed"),
            Shape(starts="handover: worker", contains="could not boot"),
            Shape(starts="handover: worker", contains="cannot boot"),
            Shape(starts="Error loading ASGI app"),
            Shape(starts="Failed to find"),
        ),
        text=("Worker failed to boot.", "Application startup failed. Exiting.", "App failed to load."),
        cause=(
            "The application could not be imported, or its lifespan startup raised: a database that is away, a "
            "missing variable, a syntax error."
        ),
        get="502 (L901) once no worker is left",
        post="the same",
        prove=("The traceback above the line.", "`python -c 'import app.main'` with the same environment."),
        fix=(
            "Do not require other services in lifespan startup; report them in readiness.",
            "A worker that turns a later failure into a retry: the handover keeps the old workers serving.",
        ),
        rules=("C001", "P601"),
        versions=(
            "gunicorn's master exits with 3 when a worker fails to boot, also at a recycle hours later; "
            "`gunicorn --check-config` finds import errors, not lifespan ones."
        ),
        evidence=(
            "Two and four workers, recycle and reload alike: master gone. With a retry 79 of 80 requests were "
            "200 during the 6 s."
        ),
    ),
    Message(
        id="L956",
        slug="worker-recycled",
        program=_PROGRAM,
        severity=Severity.WARNING,
        shapes=(
            Shape(starts="Autorestarting worker"),
            Shape(starts="Maximum request limit of"),
            Shape(starts="handover: worker", contains=" has served "),
        ),
        text=(
            "Autorestarting worker after current request.",
            "Maximum request limit of N exceeded. Terminating process.",
            "handover: worker N has served N requests",
        ),
        cause=(
            "A worker has served `max_requests` and leaves. Without the handover it closes idle and unread "
            "connections at once and gunicorn forks the replacement only afterwards."
        ),
        get="200: nginx repeats it (L911)",
        post="502 (L911) now and then",
        prove=("`no502 doctor logs` with nginx's error log beside it: L911 in the same seconds.",),
        fix=("The handover; else `max_requests` 0 if nothing leaks, else several workers and a wide jitter.",),
        rules=(
            "S506",
            "S508",
        ),
        versions="With the handover the line is news, not a fault.",
        evidence="`max_requests` 500, 1,000 POST/s: 38 to 322 of 11,000 to 18,000 lost; handover: 0 of 1,000,000.",
    ),
    Message(
        id="L958",
        slug="port-taken",
        program=_PROGRAM,
        severity=Severity.ERROR,
        shapes=(
            Shape(starts="Connection in use"),
            Shape(starts="Can't connect to"),
            Shape(contains="error while attempting to bind on address"),
            Shape(contains="[Errno 98]"),
        ),
        text=("Connection in use: (...)", "[Errno 98] error while attempting to bind on address ..."),
        cause="Something else listens on the port, usually the instance before, which has not left yet.",
        get="the other instance's answer, or 502 (L901)",
        post="the same",
        prove=("`ss -ltnp` shows who has it.",),
        fix=(
            ("Wait for the old instance (stop grace longer than `graceful_timeout`), or let systemd hold the socket."),
        ),
        rules=("S501",),
        evidence="From gunicorn's source: it tries five times, one second apart.",
    ),
    Message(
        id="L959",
        slug="bad-option",
        program=_PROGRAM,
        severity=Severity.ERROR,
        shapes=(Shape(contains="error: unrecognized arguments"), Shape(starts="Error: No such option")),
        text=("gunicorn: error: unrecognized arguments: ...",),
        cause=(
            "An option that this program does not have; it exits with 2 at once. gunicorn's is `--keep-alive`, "
            "uvicorn's `--timeout-keep-alive`."
        ),
        get="502 (L901)",
        post="502 (L901)",
        prove=("`gunicorn --help`; `no502 doctor` on the file that has the command.",),
        fix=("The right name. In a configuration file gunicorn ignores unknown names without a word.",),
        rules=("C003", "C004"),
        evidence="`gunicorn --keepalive` exits with 2 (gunicorn 27.0.1).",
    ),
    Message(
        id="L960",
        slug="requests-cancelled",
        program=_PROGRAM,
        severity=Severity.ERROR,
        shapes=(
            Shape(starts="Cancel ", contains="timeout graceful shutdown exceeded"),
            Shape(starts="handover: worker", contains="is killed: it did not leave"),
        ),
        text=("Cancel N running task(s), timeout graceful shutdown exceeded",),
        cause="A worker that leaves has waited as long as it may and cancels what still runs.",
        get="500",
        post="500",
        prove=("The duration of the longest request against `graceful_timeout` and the drain.",),
        fix=("A request deadline shorter than the drain; streams that end when the worker drains.",),
        rules=("S501",),
        evidence="Cancelled requests get 500; without the cancelling they get an empty reply (502).",
    ),
    Message(
        id="L961",
        slug="signal",
        program=_PROGRAM,
        severity=Severity.INFO,
        shapes=(Shape(starts="Handling signal:"),),
        text=("Handling signal: term", "Handling signal: hup"),
        cause="Somebody told gunicorn to stop, reload or resize: a deploy, an operator, an orchestrator.",
        get="see L911",
        post="see L911",
        prove=("Compare the times with those of the 502s.",),
        fix=("`int` and `quit` are quick and drop what runs: stop with TERM.",),
        rules=("S502", "S503"),
        evidence=(
            "Reloads four times under 1,000 POST/s: 50 to 125 of 15,000 lost pooled; handover: 0 of 133,770 in "
            "100 reloads."
        ),
    ),
    Message(
        id="L963",
        slug="application-error",
        program=_PROGRAM,
        severity=Severity.WARNING,
        shapes=(Shape(starts="Exception in ASGI application"), Shape(starts="ASGI callable ")),
        text=("Exception in ASGI application", "ASGI callable returned without starting response."),
        cause=(
            "The application raised. That is a 500 by the application, not a 502 by nginx, unless the response "
            "had begun (L912)."
        ),
        get="500",
        post="500",
        prove=("The traceback below it; `$upstream_status` 500 in the access log.",),
        fix=("In the application.",),
        evidence="From uvicorn's source.",
    ),
    Message(
        id="L965",
        slug="not-a-request",
        program=_PROGRAM,
        severity=Severity.WARNING,
        shapes=(Shape(starts="Invalid HTTP request received"), Shape(starts="Unsupported upgrade request")),
        text=("Invalid HTTP request received.", "Unsupported upgrade request."),
        cause=(
            "What arrived is not HTTP/1.1 (TLS to a plain port, a scanner), or a WebSocket without a WebSocket library."
        ),
        get="400, or 404 for a WebSocket",
        post="400",
        prove=("nginx's `proxy_pass` scheme; `pip show websockets` in the application's environment.",),
        fix=("`proxy_pass http://`; install `uvicorn[standard]`.",),
        rules=("A101",),
        evidence="From uvicorn's source.",
    ),
    Message(
        id="L967",
        slug="concurrency-limit",
        program=_PROGRAM,
        severity=Severity.ERROR,
        shapes=(Shape(starts="Exceeded concurrency limit"),),
        text=("Exceeded concurrency limit.",),
        cause=(
            "`--limit-concurrency` is reached. It counts idle keep-alive connections too, so nginx's pool alone "
            "can fill it."
        ),
        get="503",
        post="503",
        prove=("`ss -tn state established '( sport = :PORT )' | wc -l` against the limit.",),
        fix=("A limit above nginx's pool (`keepalive` times its worker processes) plus the real concurrency.",),
        evidence="A limit of N admits N - 1.",
    ),
)
"""Messages of the servers behind nginx."""
