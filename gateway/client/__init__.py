"""The command line for people: questions go to a gateway over HTTP, tables or its JSON come out.

It speaks the documented API and nothing else, so any gateway will do, on this machine or another.
"""
