"""What a developer does first: delete the sample, add routes and tables. Tests and checks stay green."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.template import bake, service_environment

_ROUTES = '''\
"""Orders."""

from fastapi import APIRouter, BackgroundTasks, Request, WebSocket

__all__ = ["router"]

router = APIRouter(prefix="/orders", tags=["orders"])


@router.get("/{number}")
async def get_order(number: int, request: Request, tasks: BackgroundTasks) -> dict[str, object]:
    """Return an order, and note in the background that it was called."""
    tasks.add_task(request.app.state.noted.append, number)
    return {"number": number, "currency": request.app.state.settings.currency}


@router.websocket("/news")
async def news(socket: WebSocket) -> None:
    """Say something once."""
    await socket.accept()
    await socket.send_text("news")
    await socket.close()
'''
_TEST = '''\
"""Orders."""

from fastapi import FastAPI
from fastapi.testclient import TestClient


def test_an_order(application: FastAPI, client: TestClient) -> None:
    """The route answers with the setting, and the background task has run."""
    noted: list[int] = []
    application.state.noted = noted
    response = client.get("/orders/7")
    assert response.json() == {"number": 7, "currency": "EUR"}
    assert noted == [7]


def test_news(client: TestClient) -> None:
    """The WebSocket sends."""
    with client.websocket_connect("/orders/news") as socket:
        assert socket.receive_text() == "news"
'''
_TABLE = '''

class Order(Base):
    """An order of an item."""

    __tablename__ = "orders"

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    item_id: Mapped[int] = mapped_column(ForeignKey("items.id"))
'''
_MIGRATION = '''\
"""orders.

Revision ID: 0002
Revises: {before}
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "{before}"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "orders",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("item_id", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["item_id"], ["items.id"], name="fk_orders_item_id_items"),
        sa.PrimaryKeyConstraint("id", name="pk_orders"),
    )


def downgrade() -> None:
    """Drop it."""
    op.drop_table("orders")
'''


def _change(file: Path, *pairs: tuple[str, str]) -> None:
    text = file.read_text(encoding="utf-8")
    for old, new in pairs:
        assert old in text, f"{file}: {old}"
        text = text.replace(old, new)
    file.write_text(text, encoding="utf-8")


def _edit(project: Path) -> None:
    """Delete the sample routes with their test; add a route, a WebSocket, a background task and a setting."""
    (project / "app" / "example.py").unlink()
    (project / "tests" / "test_example.py").unlink()
    (project / "app" / "orders.py").write_text(_ROUTES, encoding="utf-8")
    (project / "tests" / "test_orders.py").write_text(_TEST, encoding="utf-8")
    main = project / "app" / "main.py"
    _change(main, ("app.include_router(example.router)", "app.include_router(orders.router)\n    app.state.noted = []"))
    text = main.read_text(encoding="utf-8")
    imports = re.search(r"from app import (.*)\n", text)
    assert imports
    names = sorted({*imports[1].split(", "), "orders"} - {"example"}, key=lambda name: (not name.isupper(), name))
    main.write_text(text.replace(imports[0], f"from app import {', '.join(names)}\n"), encoding="utf-8")
    _change(
        project / "app" / "settings.py",
        (
            "    metrics: bool = False\n",
            '    currency: str = "EUR"\n    """What prices are in."""\n\n    metrics: bool = False\n',
        ),
    )


def _make(project: Path, *targets: str) -> None:
    command = ["make", f"PYTHON={sys.executable}", *targets]
    environment = service_environment(project.parent / "tmp")
    done = subprocess.run(
        command, cwd=project, env=environment, capture_output=True, text=True, timeout=500, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_without_a_database(tmp_path: Path) -> None:
    """``make check test`` is green after the edits."""
    project = bake(tmp_path)
    _edit(project)
    _make(project, "check", "test")


@pytest.mark.slow
def test_with_a_table_that_refers_to_the_sample(tmp_path: Path) -> None:
    """A second table with a foreign key, and its migration, leave the tests of the database green."""
    project = bake(tmp_path, database="postgresql")
    _edit(project)
    models = project / "app" / "models.py"
    _change(
        models,
        ('["Base", "Item"]', '["Base", "Item", "Order"]'),
        ("DateTime, Identity", "DateTime, ForeignKey, Identity"),
    )
    models.write_text(models.read_text(encoding="utf-8").rstrip() + "\n" + _TABLE, encoding="utf-8")
    versions = project / "migrations" / "versions"
    found = re.search(r'^revision(?:: \w+)? = "(.+)"$', (versions / "0001_items.py").read_text("utf-8"), re.MULTILINE)
    assert found
    (versions / "0002_orders.py").write_text(_MIGRATION.format(before=found[1]), encoding="utf-8")
    _make(project, "check", "test")


@pytest.mark.slow
def test_without_the_sample_of_the_database(tmp_path: Path) -> None:
    """The sample routes on a table go with their test; the tests of the database and its migrations stay green."""
    project = bake(tmp_path, database="postgresql")
    _edit(project)
    (project / "app" / "items.py").unlink()
    (project / "tests" / "test_items.py").unlink()
    _change(project / "app" / "main.py", (", items, ", ", "), ("    app.include_router(items.router)\n", ""))
    _make(project, "check", "test")
