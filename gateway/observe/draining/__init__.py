"""Draining: requests that workers get no more work come in; NativeLink is asked, and how far it is goes out.

records      what is kept: drains, and the workers that they are about
register     all drains, pure: the workers that are there and what NativeLink answered come in, what to ask it goes out
safety       what is known of a worker of a drain, and whether it may be removed
keys         idempotency keys, bounded
file         both in state_dir, from one observe to the next
endpoint     where NativeLink's admin service is
admin        one call of it
calls        all of them: so many at a time
keeping      writes the file
coordinator  what the introspection service delegates to, and what goes on

Nothing here is in the way of a build: NativeLink is asked in threads of their own; what fails is told, and tried again later.
"""
