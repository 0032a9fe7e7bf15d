"""Routing: a method and a decoded path come in; the route that answers, and the id in the path, go out."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from gateway.serve.authentication.role import Role
from gateway.serve.description.entry import Route


class Found(msgspec.Struct, frozen=True):
    """What a path means. A struct, since most requests make one."""

    #: None: no route has this path, or none of those that have it answers this method.
    route: Route | None
    #: What stands for `{id}`; "": the path has none.
    id: str = ""
    #: The template of the path; None: no route has it.
    path: str | None = None
    #: Methods that are answered there.
    allowed: tuple[str, ...] = ()
    #: Who may ask, also who is only told that there is nothing; None: everybody.
    role: Role | None = Role.READER


_NOTHING = Found(None)


class Routing:
    """All routes, by path and method."""

    def __init__(self, routes: Iterable[Route]) -> None:
        #: {path without an id: its routes}
        self._at: dict[str, list[Route]] = {}
        #: {(what is before an id, and behind it): its routes}, the longest of what is behind first
        self._around: dict[tuple[str, str], list[Route]] = {}
        for route in sorted(routes, key=lambda route: -len(route.end)):
            if route.takes_id:
                self._around.setdefault((route.beginning, route.end), []).append(route)
            else:
                self._at.setdefault(route.path, []).append(route)
        #: {(method, path without an id): what `find` says}: nothing else would be found there
        self._known = {
            (method, path): _found(route, "") for path, routes in self._at.items() for route in routes for method in route.methods
        }

    def find(self, method: str, path: str) -> Found:
        """An id is not empty and may contain slashes: of several templates that fit, the one with more behind the id is meant."""
        known = self._known.get((method, path))
        if known is not None:
            return known
        at = self._at.get(path)
        fitting = [(at, "")] if at is not None else []
        for (beginning, end), routes in self._around.items():
            if len(path) > len(beginning) + len(end) and path.startswith(beginning) and path.endswith(end):
                fitting.append((routes, path[len(beginning) : len(path) - len(end)]))
        if not fitting:
            return _NOTHING
        for routes, id_ in fitting:
            for route in routes:
                if method in route.methods:
                    return _found(route, id_)
        # What a template with less behind the id makes of the path is answered, and no reason to advertise it.
        others = fitting[0][0]
        allowed = dict.fromkeys(each for route in others for each in route.methods)
        is_open = any(route.role is None for route in others)
        return Found(None, "", others[0].path, tuple(allowed), None if is_open else Role.READER)


def _found(route: Route, id_: str) -> Found:
    return Found(route, id_, route.path, route.methods, route.role)
