"""What Schemathesis is told besides the document; it loads this file by itself (SCHEMATHESIS_HOOKS)."""

from __future__ import annotations

from typing import Any

import schemathesis

from gateway.serve.parameters import PAGE_TOKEN, PROPERTY


@schemathesis.hook
def before_call(context: schemathesis.HookContext, case: schemathesis.Case[Any], kwargs: dict[str, Any]) -> None:
    """Nobody waits for an operation longer than a moment; a timeout that is none stays what it is."""
    timeout = case.query.get("timeout", "0")
    if "wait_for" in case.query and str(timeout).replace(".", "", 1).isdigit():
        case.query["timeout"] = min(float(timeout), 0.01) if float(timeout) <= 300 else timeout


@schemathesis.hook
def filter_query(context: schemathesis.HookContext, query: dict[str, Any] | None) -> bool:
    """What is no text becomes one in the address, and so is valid after all: a property's value, an empty list as a token."""
    texts = [value for name, value in (query or {}).items() if name.startswith(PROPERTY) or name == PAGE_TOKEN]
    return all(isinstance(value, str) for value in texts)
