"""Where NativeLink's admin service is called: configuration and taps in, an address out, or what to do about it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from gateway.config.section import parse_address
from gateway.config.types import Address, Carries, Config, Tap
from gateway.observe.introspection.errors import NotOfferedError, UnreachableError
from gateway.observe.taps import ListenerState

_WILDCARDS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 # compared with, never bound


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Of the admin service."""

    address: Address
    #: A tap reads the calls.
    is_tapped: bool

    def __str__(self) -> str:
        """For people."""
        return str(self.address)


def find(config: Config, listeners: Iterable[ListenerState]) -> Endpoint:
    """As configured, else this machine's tap that carries admin.

    Args:
        config: says which.
        listeners: of the taps that run: what they are bound to.

    Raises:
        NotOfferedError: nothing says where it is.
        UnreachableError: the tap does not run.
    """
    bound = {listener.name: address for listener in listeners if (address := parse_address(listener.listen)) is not None}
    if config.admin.endpoint is not None:
        return Endpoint(config.admin.endpoint, config.admin.endpoint in {_dialled(each) for each in bound.values()})
    shown = (tap for tap in config.taps if tap.scheduler in {None, config.scheduler_name})
    tap = next((tap for tap in shown if Carries.ADMIN in tap.carries), None)
    if tap is None or not config.record_link.local:
        raise NotOfferedError(
            "Nothing says where NativeLink's admin service is: set gateway.admin.endpoint to HOST:PORT of NativeLink's listener "
            "that has services.admin, or let a tap of this machine carry 'admin'"
        )
    _check_tls(config, tap)
    address = bound.get(tap.name)
    if address is None:
        raise UnreachableError(f"Tap {tap.name!r}, which carries admin, is not attached: see whether the tap process runs")
    return Endpoint(_dialled(address), is_tapped=True)


def _check_tls(config: Config, tap: Tap) -> None:
    if tap.tls is not None and config.admin.tls is None:
        raise NotOfferedError(
            f"Tap {tap.name!r}, which carries admin, speaks TLS: set gateway.admin.tls to {{ ca_file, server_name }}, and to "
            "cert_file and key_file as well if the tap asks for certificates"
        )


def _dialled(address: Address) -> Address:
    """Where one that listens everywhere is reached."""
    return Address(_WILDCARDS.get(address.host, address.host), address.port)
