"""The resolved configuration comes in, a file that means exactly the same goes out: every value written, with the file's own names.

`nativelink-gateway check-config` prints it, and the supervisor hands it to its roles, so that what runs is what was checked.
"""

from __future__ import annotations

import json
from typing import Any

from gateway.config.expansion import escape
from gateway.config.trust import Credentials, DialTls, ListenerTls
from gateway.config.types import Address, Config, Tap


def to_json(config: Config) -> str:
    """JSON text that `load_config` reads back as an equal `Config`, ending in a newline."""
    return json.dumps(_escaped(to_values(config)), indent=2, ensure_ascii=False) + "\n"


def to_values(config: Config) -> dict[str, Any]:
    """The file's value, strings as they are meant."""
    scheduler = config.scheduler
    return {
        "servers": [
            {
                "name": "monitoring",
                "listener": {"http": {"socket_address": str(config.http)}},
                "services": {"monitoring": {"scheduler": config.scheduler_name}},
            }
        ],
        "gateway": {
            "taps": [_tap(tap) for tap in config.taps],
            "tap": {
                "processes": config.tap.processes,
                "ring_bytes": config.tap.ring_bytes,
                "message_bytes": config.tap.message_bytes,
                "undecoded_bytes": config.tap.undecoded_bytes,
                "decode_interval_ms": config.tap.decode_interval_ms,
            },
            "cas": config.cas
            and {
                "endpoint": str(config.cas.endpoint),
                "in_flight": config.cas.in_flight,
                "cache_entries": config.cas.cache_entries,
            },
            "scheduler": {
                "supported_platform_properties": {
                    name: kind.value for name, kind in scheduler.supported_platform_properties.items()
                },
                "worker_timeout_s": scheduler.worker_timeout_s,
                "client_action_timeout_s": scheduler.client_action_timeout_s,
                "max_job_retries": scheduler.max_job_retries,
                "experimental_backend": "redis" if scheduler.keeps_operations else "memory",
            },
            "retention": {"completed_s": config.retention.completed_s, "completed_max": config.retention.completed_max},
            "introspection": {
                "listen": _or_null(config.introspection.listen),
                "tls": _listener_tls(config.introspection.tls),
                "endpoint": _or_null(config.introspection.endpoint),
                "endpoint_tls": _dial_tls(config.introspection.endpoint_tls),
            },
            "record_link": {
                "listen": _or_null(config.record_link.listen),
                "tls": _listener_tls(config.record_link.tls),
                "local": config.record_link.local,
                "endpoints": [
                    {"endpoint": str(each.endpoint), "tls": _dial_tls(each.tls)} for each in config.record_link.endpoints
                ],
            },
            "observe": {"checkpoint_interval_s": config.observe.checkpoint_interval_s},
            "serve": {"processes": config.serve.processes},
            "admin": {
                "endpoint": _or_null(config.admin.endpoint),
                "path": config.admin.path,
                "tls": _dial_tls(config.admin.tls),
            },
            "authentication": config.authentication.value,
            "credentials": _credentials(config.credentials),
            "http_tls": _listener_tls(config.http_tls),
            "http": {
                "connections_per_peer": config.http_options.connections_per_peer,
                "connections": config.http_options.connections,
                "cors_origins": list(config.http_options.cors_origins),
            },
            "instances": dict(config.instances),
            "state_dir": str(config.state_dir),
            "stop_timeout_s": config.stop_timeout_s,
        },
    }


def _tap(tap: Tap) -> dict[str, Any]:
    return {
        "name": tap.name,
        "listen": str(tap.listen),
        "upstream": str(tap.upstream),
        "carries": sorted(each.value for each in tap.carries),
        "scheduler": tap.scheduler,
        "dial_timeout_s": tap.dial_timeout_s,
        "tls": _listener_tls(tap.tls),
        "upstream_tls": _dial_tls(tap.upstream_tls),
        "trust_all_peers": tap.trust_all_peers,
    }


def _credentials(credentials: Credentials) -> dict[str, Any]:
    jwt = credentials.jwt
    return {
        "tokens_file": credentials.tokens_file and str(credentials.tokens_file),
        "local_read": credentials.local_read,
        "jwt": jwt
        and {
            "issuer": jwt.issuer,
            "audience": jwt.audience,
            "jwks_file": jwt.jwks_file and str(jwt.jwks_file),
            "jwks_url": jwt.jwks_url,
            "role_claim": jwt.role_claim,
            "clock_skew_s": jwt.clock_skew_s,
        },
        "certificates": [{"subject": each.subject, "san": each.san, "role": each.role.value} for each in credentials.certificates],
    }


def _listener_tls(tls: ListenerTls | None) -> dict[str, Any] | None:
    if tls is None:
        return None
    return {
        "cert_file": str(tls.cert_file),
        "key_file": str(tls.key_file),
        "client_ca_file": tls.client_ca_file and str(tls.client_ca_file),
    }


def _dial_tls(tls: DialTls | None) -> dict[str, Any] | None:
    if tls is None:
        return None
    return {
        "ca_file": tls.ca_file and str(tls.ca_file),
        "cert_file": tls.cert_file and str(tls.cert_file),
        "key_file": tls.key_file and str(tls.key_file),
        "server_name": tls.server_name,
    }


def _or_null(address: Address | None) -> str | None:
    return None if address is None else str(address)


def _escaped(value: Any) -> Any:
    """Every string so that reading, which expands variables, gives it back."""
    if isinstance(value, dict):
        return {key: _escaped(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_escaped(each) for each in value]
    return escape(value) if isinstance(value, str) else value
