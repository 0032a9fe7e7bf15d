"""Routing: a method and a raw address come in; the route that answers, and what the address says, go out."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache

import msgspec

from gateway.serve.authentication.role import Role
from gateway.serve.description.entry import Route
from gateway.serve.target import Target, parse_target

#: Requests that are remembered; dashboards ask the same few again and again.
_REMEMBERED = 1_024


class Found(msgspec.Struct, frozen=True):
    """What a method and an address mean."""

    method: str
    target: Target
    #: None: no route has this path, or none of those that have it answers this method.
    route: Route | None = None
    #: What stands for `{id}`; "": the path has none.
    id: str = ""
    #: The template of the path; None: no route has it.
    path: str | None = None
    #: Methods that are answered there.
    allowed: tuple[str, ...] = ()
    #: Who may ask, also who is only told that there is nothing; None: everybody.
    role: Role | None = Role.READER


class Routing:
    """All routes, by path and method. An id is not empty and may contain slashes."""

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
        #: What a method and an address mean. Raises ProblemError, 400, where the address cannot be read.
        self.find: Callable[[str, str], Found] = lru_cache(_REMEMBERED)(self._find)

    def _find(self, method: str, raw: str) -> Found:
        """Of several templates that fit, the one with more behind the id is meant."""
        target = parse_target(raw)
        path = target.path
        at = self._at.get(path)
        fitting = [(at, "")] if at is not None else []
        for (beginning, end), routes in self._around.items():
            if len(path) > len(beginning) + len(end) and path.startswith(beginning) and path.endswith(end):
                fitting.append((routes, path[len(beginning) : len(path) - len(end)]))
        if not fitting:
            return Found(method, target)
        for routes, id_ in fitting:
            for route in routes:
                if method in route.methods:
                    return Found(method, target, route, id_, route.path, route.methods, route.role)
        # What a template with less behind the id makes of the path is answered, and no reason to advertise it.
        others = fitting[0][0]
        allowed = dict.fromkeys(each for route in others for each in route.methods)
        is_open = any(route.role is None for route in others)
        return Found(method, target, None, "", others[0].path, tuple(allowed), None if is_open else Role.READER)
