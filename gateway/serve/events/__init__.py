"""Events: the revisions of the replica come in, server-sent events for any number of clients go out (docs/events.md).

wire       one thing to be told, as a block of the event stream
selection  which differences a client is shown, and as what
drain_news what a client has not been told of drains
log        what happened of late, for all clients together: a client is a place in it
stream     one client: its connection, its place, how much it has not taken yet
publisher  walks over the clients and writes to each what lies behind its place
reply      the answer to GET /api/v1/events

Nobody waits for a client, and nothing is kept for one but its place and what its connection has not taken: one that does not keep
up falls behind in the log, and is reset once the log has forgotten its place. What a walk writes is encoded once for all clients
with the same filters, and each gets it with one write.
"""
