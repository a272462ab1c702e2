"""Sample routes on the database: replace them with your own."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, HTTPException, Path, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from app.database import Session
from app.models import Item

__all__ = ["router"]

router = APIRouter(prefix="/api/items", tags=["items"])

_LARGEST = 2**63 - 1  # of a bigint


class NewItem(BaseModel):
    """What a client sends."""

    name: str = Field(min_length=1, max_length=200, pattern=r"^[^\x00]*$")  # PostgreSQL's text has no NUL


class StoredItem(BaseModel):
    """What a client gets."""

    model_config = ConfigDict(from_attributes=True)

    id: int
    name: str
    created_at: datetime


@router.get("", response_model=list[StoredItem])
async def list_items(
    session: Session,
    after: Annotated[int, Query(ge=0, le=_LARGEST)] = 0,
    limit: Annotated[int, Query(ge=1, le=100)] = 50,
) -> Sequence[Item]:
    """List items in the order of their ids; ``after`` is the last id of the page before."""
    found = await session.scalars(select(Item).where(Item.id > after).order_by(Item.id).limit(limit))
    return found.all()


@router.post("", status_code=201, response_model=StoredItem)
async def create_item(new: NewItem, session: Session, request: Request, response: Response) -> Item:
    """Create an item; 409 when there is one with this name."""
    statement = insert(Item).values(name=new.name).on_conflict_do_nothing(index_elements=[Item.name]).returning(Item)
    item = await session.scalar(statement)
    if item is None:
        raise HTTPException(409, "There is an item with this name already.")
    response.headers["Location"] = request.url_for("get_item", item_id=item.id).path
    return item


@router.get("/{item_id}", response_model=StoredItem)
async def get_item(item_id: Annotated[int, Path(ge=1, le=_LARGEST)], session: Session) -> Item:
    """Get one item."""
    item = await session.get(Item, item_id)
    if item is None:
        raise HTTPException(404, "There is no item with this id.")
    return item
