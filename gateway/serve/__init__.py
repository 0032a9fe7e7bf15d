"""The serve process: a replica of `gateway.introspection` comes in by Watch, JSON over HTTP goes out."""
