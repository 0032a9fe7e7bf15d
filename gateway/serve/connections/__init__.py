"""Connections: a listening socket comes in; connections that may stay go out, each for as long as it does something.

limits      the numbers
admission   who may connect: so many from one peer, so many in all
acceptor    accepts, and refuses over the limits
turned_away a connection over the limits: it gets an answer, and ends
connection  aiohttp's side of one connection: what it has to do in which time
untaken     answers that readers have not taken yet
"""
