"""The load that the tests of generated services send: every request has exactly one outcome."""

import json
import socket
import subprocess
import sys

import pytest

from tests.support.backend import Backend, Request, response
from tests.support.commands import ROOT
from tests.support.load import Load
from tests.support.polling import wait_until
from tests.support.ports import free_port

_CREATED = response("201 Created", b"{}")


def _created(_request: Request, connection: socket.socket) -> None:
    connection.sendall(_CREATED)


def test_each_request_is_counted_once() -> None:
    """What arrived at the server is what has an outcome, each on a connection of its own."""
    with Backend(_created) as backend:
        with Load(backend.port) as load:
            wait_until(lambda: load.answered > 20, what="answers")
        assert load.failures == {}, str(load)
        assert load.answered == len(backend.requests) == backend.accepted
    assert {request.method for request in backend.requests} == {"POST"}


@pytest.mark.parametrize(
    ("bytes_sent", "outcome"),
    [
        (b"", "closed after 0 bytes"),
        (_CREATED[:-1], "closed after 1 of 2 bytes of the body"),
        (response("503 Service Unavailable"), "503"),
    ],
)
def test_what_is_not_a_whole_answer_with_201_is_a_failure(bytes_sent: bytes, outcome: str) -> None:
    """Its name says what came instead."""

    def answer(_request: Request, connection: socket.socket) -> None:
        connection.sendall(bytes_sent)

    with Backend(answer) as backend, Load(backend.port) as load:
        wait_until(lambda: sum(load.failures.values()) > 3, what="failures")
    assert set(load.failures) == {outcome}
    assert load.answered == 0


def test_nothing_that_listens_is_a_failure() -> None:
    """The exception's name is the outcome."""
    with Load(free_port()) as load:
        wait_until(lambda: load.failures, what="failures")
    assert set(load.failures) == {"ConnectionRefusedError"}


def test_as_a_program_it_sends_all_of_them() -> None:
    """The program sends rate times seconds requests, and prints what they gave."""
    with Backend(_created) as backend:
        command = [sys.executable, "-m", "tests.support.load", str(backend.port), "50", "1"]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
        assert json.loads(done.stdout)["outcomes"] == {"201": 50}
        assert len(backend.requests) == 50
