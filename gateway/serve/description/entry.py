"""Entry: what is said of a route, as types. A route without it cannot be served."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway.serve.authentication.role import Role

#: JSON Schema 2020-12, as OpenAPI 3.1 has it.
Schema = Mapping[str, Any]


@dataclass(frozen=True, eq=False, slots=True)
class Parameter:
    """Something that an address, or a request's header, can say."""

    #: `property.NAME` stands for every name that begins so.
    name: str
    text: str
    schema: Schema
    #: A list is written with commas, an object as `name=value` for each of its names.
    example: Any


@dataclass(frozen=True, eq=False, slots=True)
class Header:
    """A header of answers."""

    name: str
    text: str
    schema: Schema


@dataclass(frozen=True, eq=False, slots=True)
class Media:
    """A body in one format."""

    #: What msgspec makes schemas of; it has one of these.
    types: tuple[Any, ...]
    #: Structs, or what is JSON anyway.
    example: Any
    #: Of any number of them.
    is_list: bool = False


@dataclass(frozen=True, eq=False, slots=True)
class Answer:
    """What comes back with one status. With HEAD it comes without its body."""

    status: int
    text: str
    #: {media type: its body}; empty: there is none.
    media: Mapping[str, Media] = field(default_factory=dict)
    #: Headers that it always has, and those that it has when their text says so.
    always: tuple[Header, ...] = ()
    perhaps: tuple[Header, ...] = ()
    #: Under which the document keeps it for all routes that have it; "": with each.
    name: str = ""


@dataclass(frozen=True, eq=False, slots=True)
class Route:
    """An address and a method."""

    #: `{id}`, once, stands for anything that is not empty; it may contain slashes.
    path: str
    #: Unique; what code that is generated from the document calls it.
    name: str
    #: Under which it stands in the document.
    tag: str
    #: One line.
    summary: str
    answers: tuple[Answer, ...]
    text: str = ""
    parameters: tuple[Parameter, ...] = ()
    #: Headers of a request that it looks at.
    headers: tuple[Parameter, ...] = ()
    #: For `{id}`.
    example_id: str = ""
    #: GET includes HEAD.
    method: str = "GET"
    #: Who may ask; None: everybody.
    role: Role | None = Role.READER
    #: What a request says in its body; None: nothing. It may be left out if it need not say anything.
    body: Media | None = None

    @property
    def methods(self) -> tuple[str, ...]:
        """All that it answers."""
        return ("GET", "HEAD") if self.method == "GET" else (self.method,)

    @property
    def takes_id(self) -> bool:
        """Whether there is an id in its path."""
        return "{id}" in self.path

    @property
    def beginning(self) -> str:
        """The path, as far as an id in it."""
        return self.path.partition("{id}")[0]

    @property
    def end(self) -> str:
        """The path, behind an id in it."""
        return self.path.partition("{id}")[2]
