"""One operation, everything that is known of it: the API's object with view=full comes in, a page for a person goes out."""

from __future__ import annotations

from collections.abc import Iterable

from rich.table import Table
from rich.text import Text

from gateway.client.document import Document
from gateway.client.tables import operation_id, pairs, queued_s, ran_s, result
from gateway.client.times import UNKNOWN, duration, moment, since, zone

_CLIENT = (
    *("peer", "user_agent", "tool_name", "tool_version", "target_id", "action_mnemonic", "configuration_id", "action_id"),
    *("tool_invocation_id", "correlated_invocations_id", "followers"),
)


def operation_page(operation: Document, now: float) -> list[Table | Text]:
    """Args: the operation; Unix seconds. What is not known is left out, but for what every operation has."""
    page: list[Table | Text] = [_facts(operation, now)]
    for client in operation.rows("clients"):
        page += [Text(), Text("client", style="bold"), _grid(_client(client))]
    for title, lines in (("history", _story(operation)), ("anomalies", _anomalies(operation))):
        if lines:
            page += [Text(), Text(f"{title} ({zone(now)})", style="bold"), _grid(lines)]
    return page


def _facts(operation: Document, now: float) -> Table:
    text, number = operation.text, operation.number
    client_id, join = text("client_operation_id"), text("join")
    cacheable = operation.flag("cacheable")
    memory_kb, cpu_ms = number("peak_memory_kb"), number("cpu_time_ms")
    inserted = number("insert_timestamp")
    lines = [
        ("operation", operation_id(operation)),
        ("client's id", client_id),
        ("other ids", " ".join(each for each in operation.texts("other_ids") if each != client_id) or None),
        ("stage", text("stage") or UNKNOWN),
        ("result", result(operation) if operation.flag("is_finished") else None),
        ("message", text("status_message")),
        ("worker", text("worker_id") or UNKNOWN),
        ("inserted", None if inserted is None else f"{moment(inserted)} {zone(inserted)}, {duration(since(inserted, now))} ago"),
        ("assigned", _moment(number("assigned_timestamp"))),
        ("finished", _moment(number("finished_timestamp"))),
        ("queued for", duration(queued_s(operation, now))),
        ("ran for", duration(ran_s(operation, now))),
        ("attempts", _whole(number("attempts"))),
        ("priority", _whole(number("priority"))),
        ("timeout", _duration(number("timeout"))),
        ("instance", text("instance_name")),
        ("action", _digest(operation, "action_digest")),
        ("command", _digest(operation, "command_digest")),
        ("input root", _digest(operation, "input_root_digest")),
        ("cacheable", None if cacheable is None else "yes" if cacheable else "no"),
        ("properties", pairs(operation.pairs("platform_properties"))),
        ("assigned with", _pairs(operation.pairs("assigned_properties"))),
        ("peak memory", None if memory_kb is None else f"{int(memory_kb)} kB"),
        ("CPU time", None if cpu_ms is None else duration(cpu_ms / 1000.0)),
        # Two halves were seen, a client's and a worker's; what makes them one is said where it is no proof.
        ("worker's half", "of this operation as far as is known, not proven" if join == "tentative" else None),
    ]
    return _grid((name, value) for name, value in lines if value is not None)


def _client(client: Document) -> Iterable[tuple[str, str]]:
    yield "id", client.text("client_operation_id") or UNKNOWN
    for name in _CLIENT:
        value = client.text(name) or _whole(client.number(name))
        if value is not None:
            yield name.removesuffix("_id").replace("_", " "), value


def _story(operation: Document) -> list[tuple[str, str]]:
    return [(moment(line.number("at")), line.text("text") or UNKNOWN) for line in operation.rows("story")]


def _anomalies(operation: Document) -> list[tuple[str, str]]:
    return [
        (moment(each.number("at")), f"{each.text('kind') or UNKNOWN}: {each.text('text') or UNKNOWN}")
        for each in operation.rows("anomalies")
    ]


def _grid(lines: Iterable[tuple[str, str]]) -> Table:
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in lines:
        grid.add_row(Text(name, style="dim"), Text(value))
    return grid


def _digest(operation: Document, name: str) -> str | None:
    digest, size = operation.text(name), operation.number(f"{name}_size_bytes")
    return digest if digest is None or size is None else f"{digest} ({int(size)} bytes)"


def _moment(seconds: float | None) -> str | None:
    return None if seconds is None else moment(seconds)


def _duration(seconds: float | None) -> str | None:
    return None if seconds is None else duration(seconds)


def _whole(number: float | None) -> str | None:
    return None if number is None else str(int(number))


def _pairs(values: dict[str, str] | None) -> str | None:
    return None if values is None else pairs(values)
