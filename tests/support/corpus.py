"""The doctor's corpus: small deployments with what must be found in them."""

import tomllib
from typing import Any

from tests.support.commands import ROOT

__all__ = ["CORPUS", "NAMES", "expected"]

CORPUS = ROOT / "tests" / "doctor" / "corpus"
NAMES = sorted(path.parent.name for path in CORPUS.glob("*/expected.toml"))


def expected(name: str) -> dict[str, Any]:
    """Return what a deployment's ``expected.toml`` says."""
    return tomllib.loads((CORPUS / name / "expected.toml").read_text(encoding="utf-8"))
