"""Whether the parts of a configuration agree with each other: each may be right and all together wrong.

In: the resolved configuration. Out: notes of names that are used twice and of addresses that cannot be had at the same time.
"""

from __future__ import annotations

from gateway.config.problems import Problems
from gateway.config.types import Address, Authentication, Config

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_ANY = frozenset({"0.0.0.0", "::"})  # noqa: S104 # compared with, never bound


def check_agreement(config: Config, problems: Problems, *, http_setting: str) -> None:
    """Note every disagreement. `http_setting` is where the HTTP address was given."""
    listens = [(http_setting, config.http)]
    listens += [(f"gateway.taps[{index}].listen", tap.listen) for index, tap in enumerate(config.taps)]
    if config.introspection.listen is not None:
        listens.append(("gateway.introspection.listen", config.introspection.listen))
    if config.record_link.listen is not None:
        first = config.record_link.listen
        listens += [
            ("gateway.record_link.listen", Address(first.host, first.port + number)) for number in range(config.tap.processes)
        ]
    for index, (setting, address) in enumerate(listens):
        for other, taken in listens[:index]:
            if _collide(address, taken):
                problems.add(setting, str(address), f"another address than {other} has")
        for position, tap in enumerate(config.taps):
            if _collide(address, tap.upstream):
                problems.add(
                    setting,
                    str(address),
                    f"another address than gateway.taps[{position}].upstream has: NativeLink listens there, not we",
                )
    _check_certificates(config, problems)
    if config.credentials.certificates and (config.http_tls is None or config.http_tls.client_ca_file is None):
        problems.missing("gateway.http_tls.client_ca_file", "a PEM file with who signs gateway.credentials.certificates")
    if config.credentials.local_read and config.authentication is not Authentication.AUTO:
        right = f'false: with gateway.authentication "{config.authentication.value}" it means nothing'
        problems.add("gateway.credentials.local_read", value=True, right=right)
    names = [tap.name for tap in config.taps]
    for index, name in enumerate(names):
        if name in names[:index]:
            problems.add(f"gateway.taps[{index}].name", name, f"another name than gateway.taps[{names.index(name)}] has")


def _check_certificates(config: Config, problems: Problems) -> None:
    """A certificate of ours that anybody may use is nobody's proof of anything."""
    for index, tap in enumerate(config.taps):
        shows = tap.upstream_tls is not None and tap.upstream_tls.cert_file is not None
        asks = tap.tls is not None and tap.tls.client_ca_file is not None
        if shows and not asks and not tap.trust_all_peers:
            problems.add(
                f"gateway.taps[{index}].upstream_tls.cert_file",
                str(tap.upstream_tls and tap.upstream_tls.cert_file),
                "taps[].tls.client_ca_file beside it: whoever connects here would speak to NativeLink with the gateway's right, "
                "unless trust_all_peers: true says that this is meant",
            )


def _collide(one: Address, other: Address) -> bool:
    """Whether both cannot be listened on at once, as far as can be told without asking for names."""
    if one.port != other.port:
        return False
    hosts = {one.host, other.host}
    return len(hosts) == 1 or hosts <= _ANY | _LOOPBACK
