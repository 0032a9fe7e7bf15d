"""`gateway.taps` comes in, or NativeLink's listeners where the gateway's file has none; the taps to open go out."""

from __future__ import annotations

from gateway.config.nativelink import Listener, NativeLink
from gateway.config.section import Section
from gateway.config.tls import read_dial_tls, read_listener_tls
from gateway.config.types import Address, Carries, Tap

#: A tap listens on NativeLink's port plus this where nothing else is said (design 8).
_OFFSET = 100
_PORT_MAX = 65_535
#: Far above any deployment, below what would not fit into a process's descriptors.
_TAPS_MAX = 64
_DIAL_TIMEOUT_S = 10.0
_LOOPBACK = "127.0.0.1"
#: What NativeLink's own basic configuration listens on.
_SHIPPED = (
    Listener(Address(_LOOPBACK, 50051), tls=False, carries=frozenset({Carries.EXECUTION}), cas=True, scheduler=None),
    Listener(
        Address(_LOOPBACK, 50061), tls=False, carries=frozenset({Carries.WORKER_API, Carries.ADMIN}), cas=False, scheduler=None
    ),
)


def read_taps(own: Section, theirs: NativeLink, scheduler_name: str) -> tuple[Tap, ...]:
    """The taps in the order of the file.

    Args:
        own: the `gateway` object.
        theirs: NativeLink's file: its listeners where `taps` is absent, the upstream of a tap that names none.
        scheduler_name: the monitoring block's; a tap in front of another one says so.
    """
    entries = own.sections("taps")
    if own.has("taps"):
        if own.values["taps"] == [] or len(entries) > _TAPS_MAX:
            own.wrong("taps", f"at least one tap and at most {_TAPS_MAX}: without one there is nothing to see")
        taps = (_tap(entry, theirs) for entry in entries[:_TAPS_MAX])
        return tuple(tap for tap in taps if tap is not None)
    if theirs.given and not theirs.tapped and not theirs.unreadable:
        own.missing("taps", "a list of taps: no server of NativeLink's file has execution, worker_api or admin")
    listeners = theirs.tapped if theirs.given else _SHIPPED
    taken: set[str] = set()
    return tuple(_in_front_of(listener, taken, scheduler_name) for listener in listeners[:_TAPS_MAX])


def _tap(entry: Section, theirs: NativeLink) -> Tap | None:
    name, listen, upstream = entry.string("name"), entry.address("listen"), entry.address("upstream")
    carries = entry.words("carries", Carries)
    scheduler = entry.string("scheduler")
    dial_timeout_s = entry.number("dial_timeout_s", _DIAL_TIMEOUT_S, least=0.1, most=600)
    tls, upstream_tls = read_listener_tls(entry), read_dial_tls(entry, "upstream_tls")
    trust_all_peers = entry.flag("trust_all_peers", default=False)
    entry.end()
    entry.missing("name", "a name, unlike the other taps'")
    entry.missing("listen", "HOST:PORT to listen on")
    if "carries" not in entry.values:
        entry.missing("carries", "what comes by, a list of execution, worker_api, admin")
    if not entry.has("upstream") and carries is not None and not theirs.unreadable:
        upstream = theirs.upstream_of(carries)
        if upstream is None:
            entry.missing("upstream", "HOST:PORT of NativeLink's listener, unless --nativelink-config has one that offers the same")
    if name is None or listen is None or upstream is None or carries is None:
        return None
    return Tap(name, listen, upstream, carries, scheduler, dial_timeout_s, tls, upstream_tls, trust_all_peers)


def _in_front_of(listener: Listener, taken: set[str], scheduler_name: str) -> Tap:
    port = listener.address.port
    name = "execution" if Carries.EXECUTION in listener.carries else "workers"
    name = f"{name}-{port}" if name in taken else name
    taken.add(name)
    listen = Address(_LOOPBACK, port + _OFFSET if port + _OFFSET <= _PORT_MAX else port - _OFFSET)
    scheduler = listener.scheduler if listener.scheduler != scheduler_name else None
    return Tap(name, listen, listener.address, listener.carries, scheduler, _DIAL_TIMEOUT_S)
