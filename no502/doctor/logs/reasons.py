"""Which of a message's causes the other lines decide."""

from __future__ import annotations

from collections.abc import Mapping

from no502.doctor.logs.findings import Findings, Seen

__all__ = ["reasons"]

_REFUSED = "L901"
_UNREACHABLE = {"L901", "L906"}
_NO_ADDRESS = "L907"
_PODS = ("L833", "L835")
"""What Kubernetes writes when it ends a pod or stops sending it requests."""


def reasons(seen: Seen, findings: Findings) -> Mapping[str, str]:
    """Return what decides the causes of a message, each with a sentence about it, or an empty one.

    Empty where a line of the message is not explained: then every cause remains possible.
    """
    message = seen.message
    if message.id == _NO_ADDRESS and seen.originals and all("[::1]" in text for text in seen.originals.values()):
        return {"IPv6 loopback": ""}
    if message.id == _REFUSED and (said := _bound_elsewhere(seen, findings)):
        return {"bound to loopback": said}
    if message.id in _UNREACHABLE and any(one in findings.seen for one in _PODS) and not _loopback_only(seen):
        return {"pod ended": "Kubernetes ended or removed a pod in the same logs"}
    found = {one.reason for one in findings.episodes() if message.id in one.ids}
    return dict.fromkeys(sorted(found), "") if found and found <= set(message.decided) else {}


def _bound_elsewhere(seen: Seen, findings: Findings) -> str:
    """Return that the server listens on its own loopback, where nginx asks another address with the same port."""
    asked = [_address(name) for name, _count in seen.upstreams.top(32)]
    for heard in findings.timeline.heard.values():
        bound = {_address(address) for address in heard.bound}
        for host, port in bound:
            others = [one for one in asked if one[1] == port and not _is_loopback(one[0])]
            if _is_loopback(host) and others and all(_is_loopback(h) for h, p in bound if p == port):
                return f"{heard.program} listens on {host}:{port}, nginx asks {others[0][0]}:{port}"
    return ""


def _loopback_only(seen: Seen) -> bool:
    hosts = [_address(name)[0] for name, _count in seen.upstreams.top(32)]
    return not hosts or all(_is_loopback(host) or host.startswith("unix") for host in hosts)


def _address(text: str) -> tuple[str, str]:
    """Return host and port of ``http://127.0.0.1:8000`` or ``127.0.0.1:8000``."""
    host, _, port = text.rpartition("://")[2].rpartition(":")
    return host, port


def _is_loopback(host: str) -> bool:
    return host.startswith("127.") or host in {"localhost", "[::1]"}
