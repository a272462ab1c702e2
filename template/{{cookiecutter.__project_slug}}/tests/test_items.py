"""The sample resource, on a real PostgreSQL."""

from collections.abc import Iterator

import psycopg
import pytest
from fastapi import FastAPI, HTTPException
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from app.database import Session
from app.models import Item

_PROBLEM = "application/problem+json"


@pytest.fixture(autouse=True)
def _no_items(database_url: str) -> Iterator[None]:
    """Leave the table as empty as it was."""
    yield
    with psycopg.connect(database_url) as connection:
        connection.execute("TRUNCATE items RESTART IDENTITY CASCADE")  # with the tables that refer to it


def test_what_is_created_can_be_got(client: TestClient) -> None:
    """The answer to POST has the item and where it is."""
    created = client.post("/api/items", json={"name": "lamp"})
    assert created.status_code == 201
    assert created.json()["name"] == "lamp"
    got = client.get(created.headers["location"])
    assert (got.status_code, got.json()) == (200, created.json())


def test_an_unknown_item_is_a_404_problem(client: TestClient) -> None:
    """The problem says what is not there."""
    response = client.get("/api/items/1")
    assert (response.status_code, response.headers["content-type"]) == (404, _PROBLEM)
    assert response.json()["detail"] == "There is no item with this id."


def test_a_name_that_is_taken_is_a_409_problem(client: TestClient) -> None:
    """The second item of a name is refused, and the first one stays."""
    client.post("/api/items", json={"name": "lamp"})
    response = client.post("/api/items", json={"name": "lamp"})
    assert (response.status_code, response.headers["content-type"]) == (409, _PROBLEM)
    assert response.json()["detail"] == "There is an item with this name already."
    assert len(client.get("/api/items").json()) == 1


def test_pages_follow_each_other(client: TestClient) -> None:
    """``after`` and ``limit`` walk through all items once."""
    for number in range(5):
        client.post("/api/items", json={"name": f"item {number}"})
    names: list[str] = []
    after = 0
    while page := client.get("/api/items", params={"after": after, "limit": 2}).json():
        assert len(page) <= 2
        names += [item["name"] for item in page]
        after = page[-1]["id"]
    assert names == [f"item {number}" for number in range(5)]


@pytest.mark.parametrize("path", ["/0", f"/{2**63}", "/x", "?after=-1", f"?after={2**63}", "?limit=0", "?limit=101"])
def test_numbers_that_the_table_cannot_have_are_refused(client: TestClient, path: str) -> None:
    """What does not fit is a 422 before it reaches the database."""
    assert client.get(f"/api/items{path}").status_code == 422


def test_a_handler_that_raises_changes_nothing(application: FastAPI, client: TestClient) -> None:
    """One request is one transaction."""

    @application.post("/twice")
    async def twice(session: Session) -> None:
        session.add(Item(name="half"))
        await session.flush()
        raise HTTPException(418)

    assert client.post("/twice").status_code == 418
    assert client.get("/api/items").json() == []


def test_a_commit_that_fails_is_no_success(client: TestClient, database_url: str) -> None:
    """The client is answered after the commit: what the database refuses in the end is not a 201."""
    with psycopg.connect(database_url) as connection:
        connection.execute(
            """
            CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no'; END $$;
            CREATE CONSTRAINT TRIGGER late AFTER INSERT ON items DEFERRABLE INITIALLY DEFERRED
                FOR EACH ROW EXECUTE FUNCTION refuse();
            """
        )
    try:
        assert client.post("/api/items", json={"name": "lamp"}).status_code == 500
    finally:
        with psycopg.connect(database_url) as connection:
            connection.execute("DROP TRIGGER late ON items; DROP FUNCTION refuse()")


@settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.text(max_size=210))
@example(name="\0")
def test_any_text_is_kept_or_refused(client: TestClient, name: str) -> None:
    """Every name that is accepted comes back as it was; no name ends in a 500."""
    response = client.post("/api/items", json={"name": name})
    assert response.status_code in {201, 409, 422}
    if response.status_code == 201:
        assert client.get(response.headers["location"]).json()["name"] == name
