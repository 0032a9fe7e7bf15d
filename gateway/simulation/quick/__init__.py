"""The simulated NativeLink at the size of a real fleet, without gRPC's library: as bytes on sockets, and as records of a tap."""
