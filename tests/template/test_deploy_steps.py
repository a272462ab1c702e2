"""The tests on a Docker engine, which not every run has, look for words that ``ops/deploy`` says."""

import pytest

from tests.docker.stack import DEPLOY_STEPS
from tests.support.template import PROJECT


@pytest.mark.parametrize("step", DEPLOY_STEPS)
def test_the_deployment_says_its_steps(step: str) -> None:
    """A text that is changed in the script is changed in the tests on an engine, too."""
    assert f'say "{step}' in (PROJECT / "ops" / "deploy").read_text(encoding="utf-8")
