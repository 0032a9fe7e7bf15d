"""GET /metrics: what is known of NativeLink and of the gateway itself, as Prometheus and OpenMetrics want it.

families    the table: every name, kind, label and sentence
scrape      values by family, as samples of prometheus-client
nativelink  the replica's Scheduler message -> values of nativelink_…
itself      taps, replica, HTTP -> values of nativelink_gateway_…
latencies   how long answers took, kept by the server
exposition  the route: one scrape -> bytes in the format and coding that were asked for
"""
