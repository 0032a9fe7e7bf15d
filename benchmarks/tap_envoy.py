"""How Envoy is set up for the tap benchmark. In: ports. Out: its bootstrap configuration.

Envoy is what people put here: HTTP connection manager, router and cluster speak HTTP/2, one worker thread. With its tap filter
(envoy.filters.http.tap, a static configuration that matches everything) each stream is written to files of its own as it goes,
4 KiB of each body, and the files are removed after each round.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

_HOST = "127.0.0.1"


def configuration(port: int, upstream: int, tapped: Path | None) -> dict[str, Any]:
    """What Envoy reads: forwards one port to another, and writes what goes by where that is told."""

    def typed(name: str, **values: Any) -> dict[str, Any]:
        return {"@type": f"type.googleapis.com/envoy.extensions.{name}", **values}

    def address(of: int) -> dict[str, Any]:
        return {"socket_address": {"address": _HOST, "port_value": of}}

    filters = [{"name": "router", "typed_config": typed("filters.http.router.v3.Router")}]
    if tapped is not None:
        sinks = [{"format": "PROTO_BINARY", "file_per_tap": {"path_prefix": f"{tapped}/t"}}]
        output = {"sinks": sinks, "streaming": True, "max_buffered_rx_bytes": 4096, "max_buffered_tx_bytes": 4096}
        common = {"static_config": {"match": {"any_match": True}, "output_config": output}}
        filters.insert(0, {"name": "tap", "typed_config": typed("filters.http.tap.v3.Tap", common_config=common)})
    hosts = [{"name": "all", "domains": ["*"], "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "up", "timeout": "0s"}}]}]
    manager = typed(
        "filters.network.http_connection_manager.v3.HttpConnectionManager",
        stat_prefix="in",
        codec_type="HTTP2",
        http_filters=filters,
        route_config={"virtual_hosts": hosts},
    )
    protocol = typed("upstreams.http.v3.HttpProtocolOptions", explicit_http_config={"http2_protocol_options": {}})
    endpoints = [{"lb_endpoints": [{"endpoint": {"address": address(upstream)}}]}]
    cluster = {
        "name": "up",
        "type": "STATIC",
        "load_assignment": {"cluster_name": "up", "endpoints": endpoints},
        "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": protocol},
    }
    chain = {"filters": [{"name": "manager", "typed_config": manager}]}
    listener = {"name": "in", "address": address(port), "filter_chains": [chain]}
    return {"static_resources": {"listeners": [listener], "clusters": [cluster]}}
