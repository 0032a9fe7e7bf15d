"""An upgrade that cuts nothing: a tap process hands its connections to a successor of the same user on the same machine.

channel   frames and descriptors over the unix socket between the two, each wait with an end
messages  what they say to each other
giving    the process that has the connections
taking    the process that gets them

**How.** The successor connects and asks. The ring and what was open before it are sent while traffic goes on. Then, in one callback
of its loop, the old process decodes what waits, sends everything else and every descriptor, and waits: nothing is read and not
forwarded, no transport is paused or closed. The successor restores all of it, and touches no socket. When it says READY, the
old process says COMMIT, and from then on touches none; the successor answers GOING and goes on, and the old process exits. Exiting
says nothing to any peer: the sockets are the successor's too.

**If it fails** before COMMIT, in whatever way and at worst after a second, the callback returns: the old process goes on as if
nothing had been. A successor that has COMMIT and has not said GOING has touched nothing: if it dies, or is killed for
saying nothing, the old process goes on too. A successor whose predecessor dies before COMMIT goes on: nobody else will.

**What cannot move:** TLS, whose state is OpenSSL's. Those connections end as at a restart, and a line in the log says how many.

**Releases.** What forwarding needs (`gateway.tap.moving`) is meant to stay; decoders change. A successor with another layout
(`snapshot.layout`) begins a new run, and connections on which something was said before are forwarded on, blind, for as long as
they last: HANDED_OVER.
"""
