"""Lines of what runs the application and of the proxies in front of it, as these programs write them."""

import pytest

from no502.doctor.logs.findings import Findings

_ROUTER = (
    '2026-11-30T10:00:00.123456+00:00 heroku[router]: at=error code={code} desc="..." method=GET path="/x?secret=1" '
    'host=example.com request_id=1 fwd="192.0.2.7" dyno=web.1 connect=1ms service=30000ms status=503 bytes=0'
)
_BALANCER = (
    "https 2026-11-30T10:00:00.000000Z app/my/50 192.0.2.7:5 10.0.0.1:80 0.0 60.0 -1 {status} {target} 34 366 "
    '"GET https://example.com:443/x HTTP/1.1" "curl/8" - -'
)
_HAPROXY = (
    "Nov 30 10:00:00 web1 haproxy[14]: 192.0.2.7:51000 [30/Nov/2026:10:00:00.000] web app/a1 0/0/1/-1/2 {status} 208 "
    '- - {state} 1/1/0/0/0 0/0 "POST /x HTTP/1.1"'
)
_JOURNAL = "Nov 30 10:00:00 web1 {text}"

LINES = {
    _JOURNAL.format(text="kernel: gunicorn invoked oom-killer: gfp_mask=0xcc0, order=0, oom_score_adj=0"): "L806",
    "[12345.678901] Out of memory: Killed process 3010 (gunicorn) total-vm:1893012kB": "L801",
    _JOURNAL.format(text="kernel: Memory cgroup out of memory: Killed process 11 (python3) total-vm:1kB"): "L802",
    _JOURNAL.format(text="kernel: gunicorn[30]: segfault at 0 ip 00007f sp 00007e error 4 in libc.so.6"): "L803",
    _JOURNAL.format(text="systemd[1]: app.service: Main process exited, code=exited, status=203/EXEC"): "L811",
    _JOURNAL.format(text="systemd[1]: app.service: Main process exited, code=exited, status=200/CHDIR"): "L811",
    _JOURNAL.format(text="systemd[1]: app.service: A process of this unit has been killed by the OOM killer."): "L812",
    _JOURNAL.format(text="systemd[1]: app.service: State 'stop-sigterm' timed out. Killing."): "L813",
    _JOURNAL.format(text="systemd[1]: app.service: Main process exited, code=killed, status=9/KILL"): "L814",
    _JOURNAL.format(text="systemd[1]: app.service: Main process exited, code=exited, status=3/NOTIMPLEMENTED"): "L814",
    _JOURNAL.format(text="systemd[1]: app.service: Start request repeated too quickly."): "L816",
    _JOURNAL.format(text="systemd[1]: app.service: start operation timed out. Terminating."): "L817",
    "2026-11-30T10:00:00+00:00 web1 systemd[1]: app.service: Failed with result 'oom-kill'.": "L812",
    "app-1 exited with code 137": "L821",
    'shop_app.1  acme/app:1  node1  Shutdown  Failed 5 seconds ago  "task: non-zero exit (137)"': "L821",
    _JOURNAL.format(
        text="systemd-oomd[400]: Killed /system.slice/shop.service due to memory pressure for /system.slice being 80%"
    ): "L812",
    "exec ./entrypoint.sh: no such file or directory": "L824",
    "RuntimeError: /dev/shm doesn't exist. Can't create workertmp.": "L968",
    "Already running on PID 12 (or pid file '/run/gunicorn.pid' is stale)": "L968",
    "Failed to read config file: /app/gunicorn.conf.py": "L968",
    "app-1  | app-1 exited with code 139": "L822",
    "app-1 exited with code 3": "L823",
    'exec: "gunicorn": executable file not found in $PATH: unknown': "L824",
    "app-1  | exec /entrypoint.sh: exec format error": "L824",
    "/bin/sh: 1: [gunicorn,: not found": "L825",
    "/entrypoint.sh: line 3: uvicorn: command not found": "L825",
    'Unhealthy  pod/api  Liveness probe failed: Get "http://10.0.0.5:8000/": context deadline exceeded': "L832",
    "2026-11-30 10:00:00,495 INFO gave up: api entered FATAL state, too many start retries too quickly": "L841",
    "2026-11-30 10:00:00,495 WARN killing 'api' (41) with SIGKILL": "L842",
    **{_ROUTER.format(code=code): id_ for code, id_ in (("H10", "L703"), ("H12", "L701"), ("H13", "L702"))},
    **{_ROUTER.format(code=code): id_ for code, id_ in (("H18", "L702"), ("H27", "L704"), ("H20", "L703"))},
    "2026-11-30T10:00:03.1+00:00 heroku[web.1]: Error R14 (Memory quota exceeded)": "L705",
    _BALANCER.format(status=502, target="-"): "L711",
    _BALANCER.format(status=503, target="-"): "L712",
    _BALANCER.format(status=504, target="-"): "L713",
    _BALANCER.format(status=460, target="-"): "L714",
    '{"EdgeResponseStatus":524,"ClientRequestURI":"/x"}': "L724",
    "error code: 522": "L722",
    '{"httpRequest":{"status":502},"jsonPayload":{"statusDetails":"failed_to_connect_to_backend"}}': "L731",
    '[2026-11-30T10:00:00.000Z] "GET / HTTP/1.1" 503 UC upstream_reset_before_response_started - "-" 0 95': "L741",
    _HAPROXY.format(status=502, state="SH--"): "L751",
    _HAPROXY.format(status=503, state="sC--"): "L751",
    'time="2026-11-30T10:00:00Z" level=debug msg="502 Bad Gateway caused by: EOF"': "L752",
    '2026-11-30T10:00:00Z DBG pkg/proxy/httputil/proxy.go:117 > 502 Bad Gateway error="EOF"': "L752",
    '{"level":"error","logger":"http.log.error","msg":"EOF","request":{"uri":"/"},"status":502}': "L753",
    '"stoppedReason": "Essential container in task exited",': "L717",
    'reason: "OutOfMemoryError: Container killed due to memory usage"': "L718",
    "(service api) (task 1a2b3c4d) failed container health checks.": "L719",
    "Task failed container health checks": "L719",
    "(service api) (port 8000) is unhealthy in (target-group arn:aws:x) due to (reason Request timed out)": "L726",
    "Task failed ELB health checks in (target-group arn:aws:elasticloadbalancing:eu-west-1:1:targetgroup/a/b)": "L726",
    "2m19s   Normal   Killing   pod/app-5c9b7f8d6-x2x4k   Stopping container app": "L835",
    "INFO:     Waiting for connections to close. (CTRL+C to force quit)": "L961",
    "INFO:     Finished server process [7]": "L961",
    "\x1b[32mINFO\x1b[0m:     Shutting down": "L961",
    "[proxy_http:error] [pid 7] (104)Connection reset by peer: AH01102: error reading status line from remote": "L754",
}

OTHERS = [
    _BALANCER.format(status=200, target="200"),
    _BALANCER.format(status=502, target="502"),  # the target's own: nginx's log has it
    _HAPROXY.format(status=200, state="----"),
    _JOURNAL.format(text="systemd[1]: app.service: Scheduled restart job, restart counter is at 5."),
    "app-1 exited with code 0",
    "(service api) has reached a steady state.",
    "(service api) registered 1 targets in (target-group arn:aws:elasticloadbalancing:x)",
    "2m   Normal   Created   pod/app-5c9b7f8d6-x2x4k   Created container app",
    "INFO:     Started server process [7]",
    "INFO:     Shutting down the cache",
    "2026-11-30 10:00:00,495 INFO success: api entered RUNNING state",
]


@pytest.mark.parametrize(("line", "expected"), LINES.items(), ids=[text[-60:] for text in LINES])
def test_line_is_recognised(line: str, expected: str) -> None:
    """The message is found behind whatever the log driver puts in front."""
    findings = Findings()
    findings.read([line.encode()])
    assert set(findings.seen) == {expected}


@pytest.mark.parametrize("line", OTHERS, ids=[text[-60:] for text in OTHERS])
def test_ordinary_line_is_none(line: str) -> None:
    """What succeeded is no finding."""
    findings = Findings()
    findings.read([line.encode()])
    assert findings.seen == {}


def test_request_of_a_router_is_shown_without_its_query() -> None:
    """The path of a failed request helps; what follows the question mark may be a secret."""
    findings = Findings()
    findings.read([_ROUTER.format(code="H12").encode()])
    assert findings.seen["L701"].uris.top(1) == [("GET /x", 1)]


@pytest.mark.parametrize(
    "line",
    [
        "[2026-11-30 22:31:00 +0000] [1] [ERROR] something new 17",
        "[2026-11-30 22:31:00 +0000] [1] [CRITICAL] something new 17",
        "ERROR:    something new 17",
        "\x1b[31mERROR\x1b[0m:    something new 17",
        "app-1  | ERROR:    something new 17",
    ],
)
def test_unknown_error_of_the_server_is_listed(line: str) -> None:
    """What gunicorn or uvicorn calls an error is never dropped without a word."""
    findings = Findings()
    findings.read([line.encode()])
    assert findings.unknown.top(1) == [("something new N", 1)]


def test_the_same_emerg_in_log_and_terminal_is_one_event() -> None:
    """nginx writes what stops its start twice; a second failed start is a second event."""
    text = 'host not found in upstream "app:8000" in /etc/nginx/nginx.conf:19'
    pair = [f"2026/11/30 10:00:00 [emerg] 8#8: {text}".encode(), f"nginx: [emerg] {text}".encode()]
    findings = Findings()
    findings.read(pair)
    assert findings.seen["L924"].count == 1
    findings.read(pair[::-1])
    assert findings.seen["L924"].count == 2


def test_emerg_in_one_place_is_counted_each_time() -> None:
    """Two failed starts in a container that only shows the terminal are two events."""
    findings = Findings()
    findings.read([b'nginx: [emerg] host not found in upstream "app:8000" in /etc/nginx/nginx.conf:19'] * 2)
    assert findings.seen["L924"].count == 2
