"""Drains over HTTP: requests of people in, what `observe` makes of them out, and a line of who wanted what in the audit log.

body      what a request says, or what would be right
shape     drains as JSON
asking    `observe`, and its refusals as problems
audit     who changed what: lines in a file
file      that file: appended to, bounded
handlers  the routes

`observe` does it all and keeps it, so that every serve says the same.
"""
