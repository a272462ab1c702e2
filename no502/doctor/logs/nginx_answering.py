"""nginx's messages on a connection to the application that stands: closed, silent, or not HTTP."""

from no502.doctor.logs.message import Message, Severity, Shape

__all__ = ["ANSWERING"]

_HEADER = frozenset({"reading response header from upstream"})
_BODY = frozenset({"reading upstream", "reading response header from upstream, reading upstream"})
_SENDING = frozenset({"sending request to upstream", "sending to upstream"})
_UPGRADED = frozenset({"proxying upgraded connection"})
_RESET = frozenset({32, 104})
_CALLS = ("writev", "send", "sendfile", "readv", "recv", "sendmsg")

ANSWERING: tuple[Message, ...] = (
    Message(
        id="L911",
        slug="closed-before-response",
        program="nginx",
        severity=Severity.ERROR,
        shapes=(
            Shape(starts="upstream prematurely closed connection", phases=_HEADER),
            Shape(starts="recv() failed", errnos=_RESET, phases=_HEADER),
            Shape(starts="readv() failed", errnos=_RESET, phases=_HEADER),
        ),
        text=(
            "recv() failed (104: ...) while reading response header from upstream",
            "upstream prematurely closed connection while reading response header from upstream",
        ),
        cause=(
            "The application closed the connection before its response began. Which of the two lines appears is "
            "a matter of microseconds; they mean the same. Five causes, the most frequent first: (1) the worker "
            "closed an idle keep-alive connection in the moment nginx reused it; (2) the worker was recycled by "
            "`max_requests`, reloaded or stopped; (3) its event loop was blocked for longer than gunicorn's "
            "`timeout` and it was killed; (4) it crashed or ran out of memory; "
            "(5) more connections waited than the backlog holds, and the kernel reset some."
        ),
        get="200: nginx repeats it on another connection, once, and still logs the line. 502 if that fails too",
        post="502: nginx does not repeat what may have been done already",
        prove=(
            (
                "Only POST and PATCH fail, at low load, and `$connection_requests` or a reused upstream connection "
                "is involved: (1). Compare nginx's upstream `keepalive_timeout` (60 s by default) with gunicorn's "
                "`keepalive` (2 s by default)."
            ),
            (
                "At the same second gunicorn logs `Maximum request limit`, `Autorestarting worker`, `Handling "
                "signal`: (2)."
            ),
            "gunicorn logs `WORKER TIMEOUT` (L951): (3).",
            "gunicorn logs `was sent SIGKILL` or `SIGSEGV` (L952, L953): (4). `dmesg | grep -i oom`.",
            (
                "Nothing in gunicorn's log, very many connections: `nstat -az TcpExtListenOverflows "
                "TcpExtSyncookiesFailed` grows: (5)."
            ),
            (
                "`no502 doctor logs ERROR_LOG --access-log ACCESS_LOG` tells the requests that a client lost from "
                "those that were repeated."
            ),
        ),
        fix=(
            (
                "(1) gunicorn's `keepalive` longer than nginx's upstream `keepalive_timeout`: the outer one closes "
                "first."
            ),
            "(2) a worker that hands over: `gunicorn_handover`. More workers or jitter make it rarer, not gone.",
            "(3) nothing that blocks in an event loop; (4) fewer workers or more memory.",
            "(5) bound what is in flight (`limit_conn`; `NGINX_REQUESTS_IN_FLIGHT`) below gunicorn's `backlog`.",
            "Not `proxy_next_upstream non_idempotent`: it hides the line and may run a POST twice.",
        ),
        rules=("K201", "K202", "S506", "S508", "S501", "B705", "B706"),
        versions=(
            "Since nginx 1.29.7 every `upstream` block pools by default, so (1) needs no `keepalive` line any "
            "more. A literal `proxy_pass http://HOST:PORT` is not pooled by any version."
        ),
        evidence=(
            "(1) keepalive 2 s, POSTs 2.01 s apart: 73 to 185 of 4,000 are 502 on both versions, of 4,000 GETs "
            "none with 203 silent repeats; with the keep-alive above nginx's 0 of 4,000. (2) `max_requests` 500 "
            "at 1,000 POST/s: 38 to 322 of 11,000 to 18,000. (3) all requests in flight on that worker."
        ),
    ),
    Message(
        id="L912",
        slug="response-cut",
        program="nginx",
        severity=Severity.ERROR,
        shapes=(
            Shape(starts="upstream prematurely closed connection", phases=_BODY),
            Shape(starts="readv() failed", errnos=_RESET, phases=_BODY),
            Shape(starts="recv() failed", errnos=_RESET, phases=_BODY),
        ),
        text=("upstream prematurely closed connection while reading upstream",),
        cause=(
            "The worker went away in the middle of a response: killed, recycled with a stream open, or the "
            "application raised after it had started to answer."
        ),
        get="status 200 and a body that ends early. HTTP/1.1 clients notice; a client of HTTP/1.0 does not",
        post="the same",
        prove=(
            (
                "The access log says 200 with `$upstream_status` 200: only `$upstream_bytes_received` or the client "
                "shows it."
            ),
            "An exception of the application at that second, or a worker that leaves.",
        ),
        fix=("Workers that drain; streams that end when `request.state.handover` says so.",),
        rules=("S501", "S506", "S508"),
        evidence="SIGKILL at half of a stream: 200, curl exits with 18.",
    ),
    Message(
        id="L913",
        slug="read-timeout",
        program="nginx",
        severity=Severity.ERROR,
        shapes=(Shape(starts="upstream timed out", errnos=frozenset({110}), phases=_HEADER),),
        text=("upstream timed out (110: ...) while reading response header from upstream",),
        cause=(
            "Not one byte of the response within `proxy_read_timeout` (60 s by default). The application may "
            "still be working on it; its answer is lost."
        ),
        get="504. With several servers nginx may send it to the next one, and the work is done twice",
        post="504, and the handler runs on to its end",
        prove=(
            "`$request_time` equals the timeout; `$upstream_header_time` is `-`.",
            "In the application: is one endpoint slow, or all of them (a blocked loop, a full pool)?",
            "gunicorn's `timeout` does not bound a request of an async worker, so nothing is in gunicorn's log.",
        ),
        fix=(
            "A deadline in the application, shorter than nginx's: it answers 504 itself and cancels the work.",
            "A longer `proxy_read_timeout` only for the location that needs it.",
        ),
        rules=("T301", "T302", "T303"),
        versions="nginx built against musl prints another text behind 110; the number is the same.",
        evidence="6 s of work, read timeout 2 s, gunicorn timeout 2: 504 after 2 s, and the handler ran to its end.",
    ),
    Message(
        id="L914",
        slug="stream-silent",
        program="nginx",
        severity=Severity.ERROR,
        shapes=(Shape(starts="upstream timed out", errnos=frozenset({110}), phases=_BODY),),
        text=("upstream timed out (110: ...) while reading upstream",),
        cause="A response that had begun was silent for `proxy_read_timeout`: a stream without heartbeat.",
        get="status was 200; the stream is cut",
        post="the same",
        prove=("`$request_time` minus the time of the last event equals the timeout.",),
        fix=("A heartbeat (a comment line in server-sent events) more often than `proxy_read_timeout`.",),
        rules=("T302",),
        evidence="Events 3 s apart, timeout 2 s: cut.",
    ),
    Message(
        id="L915",
        slug="send-timeout",
        program="nginx",
        severity=Severity.ERROR,
        shapes=(Shape(starts="upstream timed out", errnos=frozenset({110}), phases=_SENDING),),
        text=("upstream timed out (110: ...) while sending request to upstream",),
        cause=(
            "The application did not read the request's body for `proxy_send_timeout`: a blocked loop, or a "
            "handler that waits before it reads."
        ),
        get="504",
        post="504",
        prove=("Only requests with a large body; `WORKER TIMEOUT` (L951) near it.",),
        fix=("Do not block the loop; read the body before other work.",),
        rules=("B706",),
        evidence="20 MB body, `proxy_send_timeout` 2 s: 504.",
    ),
    Message(
        id="L916",
        slug="websocket-silent",
        program="nginx",
        severity=Severity.WARNING,
        shapes=(Shape(starts="upstream timed out", errnos=frozenset({110}), phases=_UPGRADED),),
        text=("upstream timed out (110: ...) while proxying upgraded connection",),
        cause="Neither side of a WebSocket said anything for `proxy_read_timeout`.",
        get="the WebSocket ends without a close frame (the application sees 1005)",
        post="does not apply",
        prove=("The WebSocket lived exactly `proxy_read_timeout` after its last message.",),
        fix=("`proxy_read_timeout` above the ping interval; uvicorn pings every 20 s by default.",),
        rules=("T302",),
        evidence="Read timeout 3 s cuts a silent socket; with one above 20 s it stays open (50 s shown).",
    ),
    Message(
        id="L917",
        slug="answer-before-body",
        program="nginx",
        severity=Severity.ERROR,
        shapes=(
            *(Shape(starts=f"{call}() failed", errnos=_RESET, phases=_SENDING) for call in _CALLS),
            Shape(starts="upstream prematurely closed connection", phases=_SENDING),
        ),
        text=(
            "writev() failed (32: ...) while sending request to upstream",
            "writev() failed (104: ...) while sending request to upstream",
            "sendfile() failed (32: ...) while sending request to upstream",
        ),
        cause=(
            "The application answered (401, 404, 405, 413) and closed before it had read the whole body, and "
            "the answer was lost with the connection. Or it was killed while the body was on its way: exit code 137, "
            "a stop grace that is too short."
        ),
        get="does not apply",
        post="502 instead of the 404 or 405",
        prove=(
            (
                "Large bodies to a wrong URL, method or without credentials: repeat one with a small body and read "
                "the status."
            ),
        ),
        fix=(
            ("Keep-alive to the upstream (HTTP/1.1, `Connection` empty): the connection stays open after the answer."),
            "Killed: a stop grace (`stop_grace_period`, `TimeoutStopSec` ...) above `graceful_timeout`.",
        ),
        rules=("K203", "S501", "S503", "S505"),
        versions="nginx before 1.29.7 speaks HTTP/1.0 with `Connection: close` unless told otherwise.",
        evidence=(
            "900 kB to a wrong URL, nginx 1.22 defaults: 6 to 17 of 20 are 502; with keep-alive 0 of 160 on "
            "both versions."
        ),
    ),
    Message(
        id="L918",
        slug="header-too-big",
        program="nginx",
        severity=Severity.ERROR,
        shapes=(Shape(starts="upstream sent too big header"),),
        text=("upstream sent too big header while reading response header from upstream",),
        cause=(
            "The response's head does not fit into `proxy_buffer_size` (4 kB by default): large cookies, a "
            "token in a header, a long `Link` or security policy."
        ),
        get="502",
        post="502, and the work is done",
        prove=("`curl -sD - -o /dev/null http://UPSTREAM/PATH | wc -c` against the application itself.",),
        fix=("`proxy_buffer_size 16k; proxy_buffers 8 16k;`. 16k alone does not pass `nginx -t`.",),
        rules=("B701",),
        versions="Of 4 kB, 1.22 takes 4,096 bytes, 1.31 takes 4,115.",
        evidence="Four cookies of 1,000 bytes are enough; with 16 kB fourteen pass.",
    ),
    Message(
        id="L919",
        slug="not-http",
        program="nginx",
        severity=Severity.ERROR,
        shapes=(Shape(starts="upstream sent no valid HTTP/1.0 header"),),
        text=("upstream sent no valid HTTP/1.0 header while reading response header from upstream",),
        cause=(
            "What listens at the address does not speak HTTP: another service's port, or TLS where nginx speaks plain."
        ),
        get="the bytes as HTTP/0.9, with status 009 in the access log",
        post="the same",
        prove=("`curl -v --http0.9 http://ADDRESS/` and look at the first bytes.",),
        fix=("The right port; `proxy_pass https://` if the application itself has TLS.",),
        rules=("A101",),
        evidence="Reproduced on both nginx versions.",
    ),
    Message(
        id="L920",
        slug="header-invalid",
        program="nginx",
        severity=Severity.ERROR,
        shapes=(
            Shape(starts="upstream sent invalid header"),
            Shape(starts="upstream sent duplicate header line"),
            Shape(starts="upstream sent invalid status"),
        ),
        text=('upstream sent invalid header: "..."', 'upstream sent duplicate header line: "..."'),
        cause=(
            "A header of the response breaks HTTP: a control character or space in its name, or a second "
            "Content-Length."
        ),
        get="502",
        post="502, and the work is done",
        prove=("`curl -sD - -o /dev/null http://UPSTREAM/PATH | cat -v` against the application itself.",),
        fix=("Correct the header in the application or in the middleware that adds it.",),
        versions="1.22.1 passes a second Content-Length, 1.31.3 refuses it.",
        evidence="Reproduced on nginx 1.31.",
    ),
    Message(
        id="L921",
        slug="length-and-chunked",
        program="nginx",
        severity=Severity.ERROR,
        shapes=(
            Shape(starts='upstream sent "Content-Length" and "Transfer-Encoding"'),
            Shape(starts='upstream sent "Transfer-Encoding" and "Content-Length"'),
        ),
        text=('upstream sent "Content-Length" and "Transfer-Encoding" headers at the same time',),
        cause=(
            "The response has both, which HTTP forbids: a proxy or middleware that copies the headers of "
            "another response."
        ),
        get="502",
        post="502, and the work is done",
        prove=("`curl -sD - -o /dev/null http://UPSTREAM/PATH` against the application itself.",),
        fix=("Do not copy hop-by-hop headers (Transfer-Encoding, Connection) from one response into another.",),
        versions="1.22 answers 200 to the same response.",
        evidence="200 on 1.22, 502 on 1.31.",
    ),
    Message(
        id="L931",
        slug="chunks-invalid",
        program="nginx",
        severity=Severity.ERROR,
        shapes=(Shape(starts="upstream sent invalid chunked response"),),
        text=("upstream sent invalid chunked response while reading upstream",),
        cause="A chunked response with a broken chunk: an application that writes its own chunks.",
        get="the response is cut",
        post="the response is cut",
        prove=("`curl --raw http://UPSTREAM/PATH` against the application itself.",),
        fix=("Leave chunking to the server.",),
        evidence="Reproduced on both nginx versions.",
    ),
    Message(
        id="L932",
        slug="more-than-content-length",
        program="nginx",
        severity=Severity.WARNING,
        shapes=(
            Shape(starts="upstream sent more data than specified"),
            Shape(starts="upstream sent data after final chunk"),
        ),
        text=('upstream sent more data than specified in "Content-Length" header',),
        cause="The body is longer than the Content-Length says; nginx cuts it off and closes the connection.",
        get="a body of the announced length",
        post="the same",
        prove=("`curl -sD - --ignore-content-length http://UPSTREAM/PATH` against the application itself.",),
        fix=("Do not set Content-Length by hand; a middleware that changes the body must change or remove it.",),
        evidence="From nginx's source.",
    ),
    Message(
        id="L929",
        slug="upstream-tls",
        program="nginx",
        severity=Severity.ERROR,
        shapes=(Shape(starts="SSL_do_handshake() failed", phases=frozenset({"SSL handshaking to upstream"})),),
        text=("SSL_do_handshake() failed (SSL: ...) while SSL handshaking to upstream",),
        cause="`proxy_pass https://` to a port without TLS, or no common version or name.",
        get="502 at once",
        post="502 at once",
        prove=("`openssl s_client -connect HOST:PORT -servername NAME </dev/null`.",),
        fix=(
            "`proxy_pass http://` for a plain port; `proxy_ssl_server_name on` and `proxy_ssl_name` for a named one.",
        ),
        rules=("A101",),
        evidence="Reproduced on both nginx versions.",
    ),
    Message(
        id="L930",
        slug="upstream-certificate",
        program="nginx",
        severity=Severity.ERROR,
        shapes=(Shape(starts="upstream SSL certificate"),),
        text=("upstream SSL certificate verify error: (N:...) while SSL handshaking to upstream",),
        cause=(
            "`proxy_ssl_verify on` and a certificate that the trusted file does not cover, has expired or has "
            "another name."
        ),
        get="502 at once",
        post="502 at once",
        prove=("`openssl s_client -connect HOST:PORT -servername NAME -CAfile FILE </dev/null`.",),
        fix=("The right `proxy_ssl_trusted_certificate` and `proxy_ssl_name`; renew the certificate.",),
        evidence="From nginx's source.",
    ),
)
"""Messages on a connection that stands."""
