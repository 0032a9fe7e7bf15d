"""introspection.proto, answered from the model: shapes, the Watch feed, the gRPC service."""
