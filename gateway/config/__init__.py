"""The one way in for configuration (promise P10): files, options and environment come in, one frozen `Config` goes out.

`load.load_config` is the way in, `resolved.to_json` the way back to a file; `types`, with `trust`, is what every role reads.
"""
