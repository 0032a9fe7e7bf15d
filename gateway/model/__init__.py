"""What a NativeLink scheduler is doing, folded from what its clients and workers were seen to say. Pure: no I/O, clock or logging.

In: past-tense events (`events`). Out: changes (`changes`) and the entities (`records`). `scheduler.SchedulerModel` is the way in.

identity, events, records, changes, settings   the contract
lifecycle      the table: what clients were told, what the worker's half does -> stage
halves         the two halves of an operation and the row that joins them
pools          the halves of one action key, found by key and by queued_timestamp
generations    which halves belong together when the action is cacheable
pairing        which halves belong together when it is not
correlation    the same, for any key: proof, placing, moving
register       what is listed: entities, indexes, counts, changes, anomalies
followers      clients' streams: requests, updates, keep-alives, abandonment
workforce      workers, exactly as the scheduler keeps them
gaps           what is not known after records were lost or a connection went blind
restarts       when the scheduler began anew
retention      how long completed operations are listed
timers, story  deadlines; bounded logs
invariants     everything above, derived a second time
"""
