"""Where the API has what, and the words of it that more than one command uses."""

WORKERS = "/api/v1/workers"
OPERATIONS = "/api/v1/operations"
STATUS = "/api/v1/scheduler/status"
METRICS = "/api/v1/scheduler/metrics"
HEALTH = "/api/v1/system/health"
EVENTS = "/api/v1/events"
DRAIN = "/api/v1/drain"
DRAINS = "/api/v1/drains"

#: The parameter for everything that is known.
FULL = ("view", "full")
#: The header that says how a wait ended, in small letters, and what it says where it did not just end.
WAITED, REACHED = "x-wait-for", "reached"
