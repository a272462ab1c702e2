"""The error index in the documentation, and what it refers to."""

import subprocess
import sys

import pytest

from no502.doctor.logs.findings import classify
from no502.doctor.logs.message import Message
from no502.doctor.logs.parse import parse
from no502.doctor.logs.table import MESSAGES
from no502.doctor.registry import rules
from tests.support.commands import ROOT

_ALL = [(message, text) for message in MESSAGES for text in message.text]


def test_page_is_what_the_table_gives() -> None:
    """``make docs`` would change nothing."""
    command = [sys.executable, str(ROOT / "scripts" / "error_index.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("message", MESSAGES, ids=[message.id for message in MESSAGES])
def test_rules_exist(message: Message) -> None:
    """Every rule that a message names is one of doctor's."""
    assert set(message.rules) <= set(rules())


@pytest.mark.parametrize(("message", "text"), _ALL, ids=[f"{message.id}-{text[:30]}" for message, text in _ALL])
def test_text_of_the_index_is_recognised(message: Message, text: str) -> None:
    """A line with the text of the index is classified as the message that it stands for, and as no other."""
    written = text.replace("...", "x").replace("(pid:N)", "(pid:7)").replace("while x", "while connecting to upstream")
    nginx = message.program == "nginx"
    raw = f"2026/11/26 12:00:00 [error] 1#1: *7 {written}, client: 10.0.0.1" if nginx else written
    line = parse(raw.encode())
    assert line is not None
    assert classify(line) is message
