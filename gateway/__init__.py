"""The NativeLink Monitoring API for an unmodified NativeLink."""

__version__ = "0.1.0"
