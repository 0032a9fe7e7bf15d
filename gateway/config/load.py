"""Files and options come in, the resolved `Config` goes out, or a ConfigurationError with everything that is wrong.

What counts, first to last: an option of the command line, the gateway's own file, NativeLink's file, NativeLink's shipped ports on
loopback with taps on those plus 100 (design 8). Strings of both files are expanded as NativeLink expands its own.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from gateway.config.admin import read_admin
from gateway.config.agreement import check_agreement
from gateway.config.credentials import read_credentials
from gateway.config.document import read_document
from gateway.config.http_options import read_http_options
from gateway.config.introspection import read_introspection
from gateway.config.links import read_record_link
from gateway.config.nativelink import NativeLink, keeps_operations, read_nativelink
from gateway.config.problems import Problems
from gateway.config.section import Reading, Section, listed, parse_address
from gateway.config.state_directory import check_socket_paths, choose_state_dir
from gateway.config.taps import read_taps
from gateway.config.tls import read_listener_tls
from gateway.config.types import (
    Address,
    Authentication,
    Carries,
    Cas,
    Config,
    Observe,
    PropertyType,
    Retention,
    Scheduler,
    Serve,
    Tap,
    TapLimits,
)

#: Of the documented block.
DEFAULT_HTTP = Address("127.0.0.1", 50062)
DEFAULT_SCHEDULER = "MAIN_SCHEDULER"
_STOP_TIMEOUT_S = 5.0
_DAY_S = 24 * 60 * 60
_GIB = 1024 * 1024 * 1024
_COUNT_MAX = 10_000_000
#: More cores than the traffic of a tap, or of HTTP, can use.
_PROCESSES_MAX = 64
_HTTP_SETTING = "servers[].listener.http.socket_address"


def load_config(
    file: Path | None = None,
    *,
    nativelink: Path | None = None,
    http: str | None = None,
    environment: Mapping[str, str] | None = None,
) -> Config:
    """Read, complete and check a configuration. Nothing is created and nothing is bound.

    Args:
        file: the gateway's own file; None: there is none.
        nativelink: NativeLink's own file; None: there is none.
        http: `HOST:PORT` that counts more than the file's.
        environment: for `${…}` and for state_dir; None: the process's.

    Raises:
        ConfigurationError: with every problem.
    """
    environment = os.environ if environment is None else environment
    problems = Problems()
    root = Section(read_document(file, problems) if file else None, "", Reading(problems, environment))
    theirs = read_nativelink(nativelink, problems, environment) if nativelink else NativeLink()
    listen, scheduler_name = _monitoring(root, theirs)
    if http is not None:
        listen = parse_address(http) or listen
        if parse_address(http) is None:
            problems.add("--http", http, "HOST:PORT with a port from 1 to 65535, IPv6 as [::1]:PORT")
    own = root.section("gateway")
    taps = read_taps(own, theirs, scheduler_name)
    config = Config(
        http=listen,
        scheduler_name=scheduler_name,
        taps=taps,
        cas=_cas(own, theirs, taps),
        state_dir=choose_state_dir(own.string("state_dir"), problems, environment),
        tap=_tap_limits(own.section("tap")),
        scheduler=_scheduler(own.section("scheduler"), theirs.schedulers.get(scheduler_name, Scheduler())),
        retention=_retention(own.section("retention")),
        introspection=read_introspection(own.section("introspection")),
        record_link=read_record_link(own.section("record_link")),
        observe=_observe(own.section("observe")),
        admin=read_admin(own.section("admin"), theirs.admin_path),
        serve=_serve(own.section("serve")),
        authentication=own.word("authentication", Authentication, Authentication.AUTO),
        credentials=read_credentials(own.section("credentials")),
        http_tls=read_listener_tls(own, "http_tls"),
        http_options=read_http_options(own.section("http")),
        instances=_instances(own, theirs, scheduler_name),
        stop_timeout_s=own.number("stop_timeout_s", _STOP_TIMEOUT_S, least=0.5, most=600),
    )
    own.end()
    check_agreement(config, problems, http_setting=_HTTP_SETTING if http is None else "--http")
    check_socket_paths(config, problems)
    problems.raise_any()
    return config


def _monitoring(root: Section, theirs: NativeLink) -> tuple[Address, str]:
    """Address and scheduler name of the documented block. Other servers are NativeLink's, and not looked at."""
    name = theirs.main_scheduler or DEFAULT_SCHEDULER
    blocks = [each for each in root.sections("servers") if each.section("services").has("monitoring")]
    if not blocks:
        return DEFAULT_HTTP, name
    for more in blocks[1:]:
        root.reading.problems.add(
            more.at("services.monitoring"), more.section("services").values["monitoring"], "one monitoring server only"
        )
    http = blocks[0].section("listener").section("http")
    listen = http.address("socket_address")
    http.missing("socket_address", "HOST:PORT to answer on")
    monitoring = blocks[0].section("services").section("monitoring")
    named = monitoring.string("scheduler")
    if named and theirs.schedulers and named not in theirs.schedulers:
        monitoring.wrong("scheduler", f"a scheduler of NativeLink's file: {listed(theirs.schedulers)}")
    return listen or DEFAULT_HTTP, named or name


def _cas(own: Section, theirs: NativeLink, taps: tuple[Tap, ...]) -> Cas | None:
    """`cas: null` is none. Without the key: NativeLink's file, else the port that clients execute on, which ships with a CAS.

    It is read without TLS.
    """
    if "cas" in own.values and not own.has("cas"):
        own.section("cas")
        return None
    section = own.section("cas")
    if own.has("cas"):
        section.missing("endpoint", "HOST:PORT of NativeLink's CAS, or cas: null")
    executing = next((tap.upstream for tap in taps if Carries.EXECUTION in tap.carries and tap.upstream_tls is None), None)
    endpoint = section.address("endpoint") or (theirs.cas if theirs.given else executing)
    in_flight = section.integer("in_flight", 4, least=1, most=1_000)
    cache_entries = section.integer("cache_entries", 20_000, least=1, most=_COUNT_MAX)
    section.end()
    return Cas(endpoint, in_flight, cache_entries) if endpoint else None


def _tap_limits(section: Section) -> TapLimits:
    default = TapLimits()
    limits = TapLimits(
        processes=section.integer("processes", default.processes, least=1, most=_PROCESSES_MAX),
        ring_bytes=section.integer("ring_bytes", default.ring_bytes, least=64 * 1024, most=64 * _GIB),
        message_bytes=section.integer("message_bytes", default.message_bytes, least=1024, most=_GIB),
        undecoded_bytes=section.integer("undecoded_bytes", default.undecoded_bytes, least=64 * 1024, most=64 * _GIB),
        decode_interval_ms=section.number("decode_interval_ms", default.decode_interval_ms, least=0, most=1_000),
    )
    if limits.message_bytes > limits.ring_bytes:
        section.wrong("message_bytes", f"at most ring_bytes ({limits.ring_bytes}): a record has to fit into the ring")
    section.end()
    return limits


def _scheduler(section: Section, theirs: Scheduler) -> Scheduler:
    """The gateway's word counts more than NativeLink's, key by key; 0 is NativeLink's word for its default."""
    default = Scheduler()
    backend = section.values.get("experimental_backend")
    if section.has("experimental_backend") and backend != "memory" and not keeps_operations(backend):
        section.wrong("experimental_backend", '"memory" or "redis", or as NativeLink\'s file has it')
    scheduler = Scheduler(
        supported_platform_properties=_or(
            section.word_map("supported_platform_properties", PropertyType), theirs.supported_platform_properties
        ),
        worker_timeout_s=section.integer("worker_timeout_s", theirs.worker_timeout_s, least=0, most=_DAY_S)
        or default.worker_timeout_s,
        client_action_timeout_s=section.integer("client_action_timeout_s", theirs.client_action_timeout_s, least=0, most=_DAY_S)
        or default.client_action_timeout_s,
        max_job_retries=section.integer("max_job_retries", theirs.max_job_retries, least=0, most=_COUNT_MAX)
        or default.max_job_retries,
        keeps_operations=keeps_operations(backend) if section.has("experimental_backend") else theirs.keeps_operations,
    )
    section.end()
    return scheduler


def _or(own: dict[str, PropertyType] | None, theirs: dict[str, PropertyType]) -> dict[str, PropertyType]:
    return theirs if own is None else own


def _retention(section: Section) -> Retention:
    default = Retention()
    retention = Retention(
        completed_s=section.integer("completed_s", default.completed_s, least=0, most=7 * _DAY_S),
        completed_max=section.integer("completed_max", default.completed_max, least=0, most=_COUNT_MAX),
    )
    section.end()
    return retention


def _observe(section: Section) -> Observe:
    default = Observe()
    observe = Observe(
        checkpoint_interval_s=section.number("checkpoint_interval_s", default.checkpoint_interval_s, least=0, most=_DAY_S)
    )
    section.end()
    return observe


def _serve(section: Section) -> Serve:
    serve = Serve(processes=section.integer("processes", Serve().processes, least=1, most=_PROCESSES_MAX))
    section.end()
    return serve


def _instances(own: Section, theirs: NativeLink, scheduler_name: str) -> dict[str, str]:
    """NativeLink's file matters here only if some instance has another scheduler than the one that is shown."""
    if own.has("instances"):
        return own.strings("instances")
    own.section("instances")
    several = any(name != scheduler_name for name in theirs.instances.values())
    return dict(theirs.instances) if several else {}
