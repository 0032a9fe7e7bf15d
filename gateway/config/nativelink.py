"""NativeLink's own configuration file comes in, what it already says about scheduler and listeners goes out (nativelink-facts 5).

Newer files write lists where older ones write maps, both are read. Keys that are not known here are NativeLink's affair, and so
is every value that is not needed here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gateway.config.admin import read_path
from gateway.config.document import read_document
from gateway.config.problems import Problems
from gateway.config.section import Reading, Section
from gateway.config.types import Address, Carries, PropertyType, Scheduler

#: Schedulers that wrap another one, which then holds what is looked for.
_WRAPPING = ("cache_lookup", "property_modifier", "historical_resource")
_NESTING_MAX = 16
_UNIT_SECONDS = {
    "ms": 0.001,
    "s": 1,
    "sec": 1,
    "secs": 1,
    "m": 60,
    "min": 60,
    "mins": 60,
    "h": 3600,
    "hr": 3600,
    "hrs": 3600,
    "d": 86400,
}
_DURATION = re.compile(r"(\d+)\s*([a-z]*)\s*")
#: Addresses of a listener on all interfaces, and where such a listener is reached from the same machine.
_ANY = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 # compared with, never bound


@dataclass(frozen=True, slots=True)
class Listener:
    """One entry of `servers` that speaks HTTP."""

    #: Where it is dialled from this machine.
    address: Address
    #: It speaks TLS, which a tap reads only with certificates of its own.
    tls: bool
    #: Those of its services that a tap reads.
    carries: frozenset[Carries]
    #: It answers ContentAddressableStorage.
    cas: bool
    #: Of its worker_api, else of its first execution service.
    scheduler: str | None
    #: Where its admin service is, if that says so.
    admin_path: str | None = None


@dataclass(frozen=True, slots=True)
class NativeLink:
    """What the file says; empty where there is no file."""

    #: There is a file. If it could not be read, what is missing here may be in it.
    given: bool = False
    unreadable: bool = False
    #: Scheduler name -> what it was told. One behind gRPC tells nothing and has the defaults.
    schedulers: Mapping[str, Scheduler] = field(default_factory=dict)
    listeners: tuple[Listener, ...] = ()
    #: Instance name -> scheduler name, of all execution services.
    instances: Mapping[str, str] = field(default_factory=dict)

    @property
    def main_scheduler(self) -> str | None:
        """The scheduler that workers connect to, else the one that clients use, else the first."""
        used = [each.scheduler for each in self.listeners if each.scheduler and Carries.WORKER_API in each.carries]
        used += [each.scheduler for each in self.listeners if each.scheduler]
        return next(iter([*used, *self.schedulers]), None)

    @property
    def tapped(self) -> tuple[Listener, ...]:
        """The listeners that a tap belongs in front of: one with TLS only if what it carries is not to be had without."""
        plain: frozenset[Carries] = frozenset().union(*(each.carries for each in self.listeners if not each.tls))
        return tuple(each for each in self.listeners if each.carries and not (each.tls and each.carries <= plain))

    def upstream_of(self, carries: frozenset[Carries]) -> Address | None:
        """The one listener that has everything a tap carries."""
        return next((each.address for each in self.tapped if carries <= each.carries), None)

    @property
    def admin_path(self) -> str | None:
        """Of the first listener that says where its admin service is."""
        return next((each.admin_path for each in self.tapped if each.admin_path), None)

    @property
    def cas(self) -> Address | None:
        """The first listener whose CAS can be read without TLS."""
        return next((each.address for each in self.listeners if each.cas and not each.tls), None)


def read_nativelink(file: Path, problems: Problems, environment: Mapping[str, str]) -> NativeLink:
    """The file's content; what is wrong with what is needed here is noted, its key path led by the file's name."""
    reading = Reading(problems, environment)
    values = read_document(file, problems)
    if values is None:
        return NativeLink(given=True, unreadable=True)
    schedulers = {
        name: _scheduler(section) for name, section in _named(values.get("schedulers"), f"{file}: schedulers", reading, "name")
    }
    servers = values.get("servers", [])
    entries = [
        Section(each, f"{file}: servers[{index}]", reading)
        for index, each in enumerate(servers if isinstance(servers, list) else [])
    ]
    instances: dict[str, str] = {}
    listeners = [listener for entry in entries if (listener := _listener(entry, instances)) is not None]
    return NativeLink(given=True, schedulers=schedulers, listeners=tuple(listeners), instances=instances)


def _named(values: object, path: str, reading: Reading, name_key: str) -> Iterator[tuple[str, Section]]:
    """The entries of a list whose objects name themselves, or of a map from name to object."""
    if isinstance(values, list):
        for index, each in enumerate(values):
            section = Section(each, f"{path}[{index}]", reading)
            yield str(section.values.get(name_key) or ""), section
    elif values is not None:
        for name, section in _of_map(Section(values, path, reading)):
            yield name, section


def _of_map(section: Section) -> Iterator[tuple[str, Section]]:
    for name in section.values:
        yield name, section.section(name)


def _listener(entry: Section, instances: dict[str, str]) -> Listener | None:
    listener = entry.section("listener")
    if not listener.has("http"):
        return None
    http = listener.section("http")
    address = http.address("socket_address")
    services = entry.section("services")
    execution = list(_named(services.values.get("execution"), services.at("execution"), services.reading, "instance_name"))
    clients = {name: scheduler for name, each in execution if (scheduler := each.string("scheduler"))}
    carries = set()
    if execution:
        carries.add(Carries.EXECUTION)
    workers = services.section("worker_api").string("scheduler") if services.has("worker_api") else None
    if services.has("worker_api"):
        carries.add(Carries.WORKER_API)
    admin_path = None
    if services.has("admin"):
        carries.add(Carries.ADMIN)
        admin_path = read_path(services.section("admin"))
    if address is None:
        return None
    instances.update(clients)
    return Listener(
        address=Address(_ANY.get(address.host, address.host), address.port),
        tls=http.has("tls"),
        carries=frozenset(carries),
        cas=bool(services.values.get("cas")),
        scheduler=workers or next(iter(clients.values()), None),
        admin_path=admin_path,
    )


def _scheduler(section: Section) -> Scheduler:
    for _ in range(_NESTING_MAX):
        wrapping = next((each for each in _WRAPPING if section.has(each)), None)
        if wrapping is None:
            break
        section = section.section(wrapping).section("scheduler")
    simple = section.section("simple")
    default = Scheduler()
    return Scheduler(
        supported_platform_properties=simple.word_map("supported_platform_properties", PropertyType) or {},
        worker_timeout_s=_seconds(simple, "worker_timeout_s") or default.worker_timeout_s,
        client_action_timeout_s=_seconds(simple, "client_action_timeout_s") or default.client_action_timeout_s,
        max_job_retries=_seconds(simple, "max_job_retries") or default.max_job_retries,
        keeps_operations=keeps_operations(simple.values.get("experimental_backend")),
    )


def keeps_operations(backend: Any) -> bool:
    """Whether `experimental_backend` is Redis: `"redis"`, or as NativeLink writes it, `{redis: {…}}`."""
    return backend == "redis" or (isinstance(backend, dict) and "redis" in backend)


def _seconds(section: Section, key: str) -> int:
    """A number, or a string of one or of a duration such as "1m 30s"; 0, NativeLink's word for its default, where it is absent."""
    value = section.values.get(key, 0)
    text = section.string(key) if isinstance(value, str) else str(value)
    seconds = None if text is None or isinstance(value, bool) else _parsed(text.strip())
    if seconds is None:
        section.wrong(key, 'seconds as a whole number, or a string such as "90" or "1m 30s"')
    return seconds or 0


def _parsed(text: str) -> int | None:
    if text.isascii() and text.isdecimal():
        return int(text)
    parts = _DURATION.findall(text)
    if not parts or _DURATION.sub("", text) or not all(unit in _UNIT_SECONDS for _, unit in parts):
        return None
    return int(sum(int(count) * _UNIT_SECONDS[unit] for count, unit in parts))
