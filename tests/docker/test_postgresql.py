"""The variant with PostgreSQL: database, one-shot migration, service and nginx, from nothing."""

from pathlib import Path

from tests.docker.conftest import free_subnet, generated
from tests.docker.stack import PROJECT, Stack


def test_it_is_migrated_and_serves_and_is_deployed_again(tmp_path: Path) -> None:
    """``up --wait`` ends well although one container ends; a deployment migrates again; a dump can be had."""
    project = generated(tmp_path, database="postgresql")
    name = f"{PROJECT}-postgresql"
    with Stack(project, subnet=free_subnet(), name=name, POSTGRES_PASSWORD="p@ss:w/rd") as stack:
        stack.compose("build", "--quiet")
        stack.compose("up", "--detach", "--wait")
        migrate = stack.inspect(stack.container("migrate"))["State"]
        assert migrate["Status"] == "exited"
        assert migrate["ExitCode"] == 0
        assert stack.health(stack.container("backend")) == "healthy"
        stack.wait_until_served()
        networks = stack.inspect(stack.container("nginx"))["NetworkSettings"]["Networks"]
        assert [name.rsplit("_", 1)[-1] for name in networks] == ["default"]
        done = stack.deploy("--no-build")
        assert done.returncode == 0, done.stdout
        assert "running migrate" in done.stdout
        stack.wait_until_served()
        dump = stack.run("sh", "-c", "docker compose run --rm -T dump 2>/dev/null | head -c 5")
        assert dump.stdout == "PGDMP", dump.stdout
