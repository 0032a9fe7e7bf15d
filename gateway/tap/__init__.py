"""The tap: forwards bytes between peers and NativeLink, and publishes what the two gRPC services said as records."""
