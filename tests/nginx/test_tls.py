"""The TLS variant, with a certificate made at run time."""

import contextlib
import socket
import ssl
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from tests.nginx.proxy import HOST, Proxy, ProxyFactory
from tests.support.backend import Backend
from tests.support.polling import wait_until


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    """A certificate authority for this run."""
    return trustme.CA()


@pytest.fixture
def certificate(authority: trustme.CA, tree: Path) -> dict[str, str]:
    """The variables of a certificate for the test's host name."""
    issued = authority.issue_cert(HOST)
    chain, key = tree / "chain.pem", tree / "key.pem"
    for part in issued.cert_chain_pems:
        part.write_to_path(chain, append=True)
    issued.private_key_pem.write_to_path(key)
    return {"NGINX_TLS_CERTIFICATE": str(chain), "NGINX_TLS_CERTIFICATE_KEY": str(key)}


def _client(
    authority: trustme.CA, version: ssl.TLSVersion | None = None, protocols: list[str] | None = None
) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    if version is not None:
        context.minimum_version = context.maximum_version = version
    if protocols is not None:
        context.set_alpn_protocols(protocols)
    return context


@contextlib.contextmanager
def _shake_hands(
    proxy: Proxy, context: ssl.SSLContext, *, name: str = HOST, session: ssl.SSLSession | None = None
) -> Iterator[ssl.SSLSocket]:
    with (
        socket.create_connection(("127.0.0.1", proxy.tls_port), 10) as plain,
        context.wrap_socket(plain, server_hostname=name, session=session) as secure,
    ):
        yield secure


def _exchange(
    proxy: Proxy, context: ssl.SSLContext, *, name: str = HOST, host: str = HOST, forwarded: str = ""
) -> bytes:
    request = f"GET / HTTP/1.1\r\nHost: {host}\r\nX-Forwarded-Proto: http\r\n{forwarded}Connection: close\r\n\r\n"
    with _shake_hands(proxy, context, name=name) as secure:
        secure.sendall(request.encode())
        answer = b""
        while part := secure.recv(65536):
            answer += part
        return answer


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_requests_over_tls(
    start: ProxyFactory, authority: trustme.CA, certificate: dict[str, str], version: ssl.TLSVersion
) -> None:
    """TLS 1.2 and 1.3 work, the application is told https, the log names both."""
    with Backend() as backend:
        proxy = start(backend.upstream, tls=True, **certificate)
        answer = _exchange(proxy, _client(authority, version))
        (line,) = proxy.access_log()
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert backend.requests[0].all("x-forwarded-proto") == ["https"]
    assert line["tls_protocol"] == version.name.replace("_", ".")
    assert line["tls_cipher"]
    assert line["scheme"] == "https"


@pytest.mark.parametrize(("seconds", "sent"), [("", False), ("0", False), ("300", True)])
def test_browsers_are_told_to_stay_with_tls_only_where_it_is_asked_for(
    start: ProxyFactory, authority: trustme.CA, certificate: dict[str, str], seconds: str, sent: bool
) -> None:
    """Strict-Transport-Security is off by default."""
    changes = {**certificate, **({"NGINX_HSTS": seconds} if seconds else {})}
    with Backend() as backend:
        answer = _exchange(start(backend.upstream, tls=True, **changes), _client(authority))
    assert (b"Strict-Transport-Security: max-age=300\r\n" in answer) is sent
    assert (b"Strict-Transport-Security" in answer) is sent


def test_a_trusted_proxy_may_say_http(start: ProxyFactory, authority: trustme.CA, certificate: dict[str, str]) -> None:
    """Behind a trusted proxy that speaks TLS to us and HTTP to the client, the application is told http."""
    certificate["NGINX_HSTS"] = "300"
    with Backend() as backend:
        proxy = start(backend.upstream, tls=True, NGINX_TRUSTED_PROXIES="127.0.0.1", **certificate)
        answer = _exchange(proxy, _client(authority), forwarded="X-Forwarded-For: 203.0.113.9\r\n")
    assert backend.requests[0].all("x-forwarded-proto") == ["http"]
    assert b"Strict-Transport-Security" not in answer


def test_http_2_is_offered(start: ProxyFactory, authority: trustme.CA, certificate: dict[str, str]) -> None:
    """A client that asks for HTTP/2 gets it, and one that does not gets HTTP/1.1."""
    with Backend() as backend:
        proxy = start(backend.upstream, tls=True, **certificate)
        context = _client(authority, protocols=["h2", "http/1.1"])
        with _shake_hands(proxy, context) as secure:
            assert secure.selected_alpn_protocol() == "h2"
        with _shake_hands(proxy, _client(authority, protocols=["http/1.1"])) as secure:
            assert secure.selected_alpn_protocol() == "http/1.1"


def test_requests_over_http_2(start: ProxyFactory, authority: trustme.CA, certificate: dict[str, str]) -> None:
    """A request over HTTP/2 reaches the application like any other, its host with the client's port."""

    def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
        return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload

    pseudo = {":method": "GET", ":scheme": "https", ":path": "/over/h2", ":authority": f"{HOST}:8443"}
    # HPACK: a literal without indexing, its name and value with their lengths (RFC 7541, 6.2.2).
    head = b"".join(bytes([0, len(name), *name.encode(), len(text), *text.encode()]) for name, text in pseudo.items())
    with Backend() as backend:
        proxy = start(backend.upstream, tls=True, **certificate)
        with _shake_hands(proxy, _client(authority, protocols=["h2"])) as secure:
            secure.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0) + frame(1, 5, 1, head))
            answer = b""
            while (headers_at := answer.find(b"\x01\x04\x00\x00\x00\x01")) < 0:
                answer += secure.recv(4096)
        (line,) = proxy.access_log()
    status = answer[headers_at + 6 :].lstrip(b"\x20\x3f\xe1\x1f")[:1]  # after a change of the table size, if any
    assert status == b"\x88"  # the indexed form of ":status: 200"
    (request,) = backend.requests
    assert request.target == "/over/h2"
    assert request.protocol == "HTTP/1.1"
    assert request.all("host") == request.all("x-forwarded-host") == [f"{HOST}:8443"]
    assert line["protocol"] == "HTTP/2.0"
    assert line["status"] == "200"


def test_old_tls_is_refused(start: ProxyFactory, authority: trustme.CA, certificate: dict[str, str]) -> None:
    """TLS 1.1 gets no handshake."""
    context = _client(authority)
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    with Backend() as backend:
        proxy = start(backend.upstream, tls=True, **certificate)
        with pytest.raises((ssl.SSLError, ConnectionResetError)):
            _exchange(proxy, context)
    assert backend.requests == []


def test_unknown_name_gets_no_certificate(
    start: ProxyFactory, authority: trustme.CA, certificate: dict[str, str]
) -> None:
    """A handshake for another name is refused; a request for another name after a good one belongs elsewhere."""
    context = _client(authority)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with Backend() as backend:
        proxy = start(backend.upstream, tls=True, **certificate)
        with pytest.raises(ssl.SSLError, match=r"(?i)unrecognized.name"):
            _exchange(proxy, context, name="other.example")
        answer = _exchange(proxy, _client(authority), host="other.example")
        for _ in range(8):
            _exchange(proxy, _client(authority))
        assert {line["status"] for line in proxy.access_log(8)} == {"200"}
    assert answer.startswith(b"HTTP/1.1 421 ")
    assert b"nginx/" not in answer
    assert len(backend.requests) == 8


def test_plain_http_is_sent_to_https(start: ProxyFactory, certificate: dict[str, str]) -> None:
    """Plain HTTP is answered with a redirect that keeps the method; an unknown name with nothing."""
    with Backend() as backend:
        proxy = start(backend.upstream, tls=True, **certificate)
        answer = proxy.ask("POST", "/path?x=1", body=b"x")
        assert proxy.raw("GET / HTTP/1.1\r\nHost: other.example\r\n\r\n") == b""
    assert answer.status == 308
    assert answer.headers["Location"] == f"https://{HOST}/path?x=1"
    assert backend.requests == []


def test_the_redirect_names_the_port_that_clients_use(start: ProxyFactory, certificate: dict[str, str]) -> None:
    """Where a port mapping has changed it, the redirect leads to NGINX_TLS_PORT."""
    with Backend() as backend:
        answer = start(backend.upstream, tls=True, NGINX_TLS_PORT="8443", **certificate).ask("GET", "/path?x=1")
    assert answer.headers["Location"] == f"https://{HOST}:8443/path?x=1"


def test_sessions_are_resumed_without_tickets(
    start: ProxyFactory, authority: trustme.CA, certificate: dict[str, str]
) -> None:
    """A returning TLS 1.2 client resumes its session from the shared cache, whichever worker process it meets."""
    context = _client(authority, ssl.TLSVersion.TLSv1_2)
    with Backend() as backend:
        proxy = start(backend.upstream, tls=True, **certificate)
        with _shake_hands(proxy, context) as secure:
            session = secure.session
        assert session is not None
        assert not session.has_ticket

        def resumes() -> bool:
            with _shake_hands(proxy, context, session=session) as secure:
                return bool(secure.session_reused)

        # nginx stores a session after it has sent the last message of the handshake
        wait_until(resumes, what="the session in nginx's cache")
        for _ in range(4):
            with _shake_hands(proxy, context, session=session) as secure:
                assert secure.session_reused
