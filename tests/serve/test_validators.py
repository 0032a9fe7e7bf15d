import pytest

from gateway.query.filter import OperationFilter
from gateway.serve.queries import OperationsQuery, WorkersQuery
from gateway.serve.validators import body_tag, has_already, list_tag

WORKERS, OPERATIONS = WorkersQuery(), OperationsQuery(OperationFilter(frozenset({"Queued", "Executing"})), limit=2)


def test_another_state_question_or_coding_is_another_tag() -> None:
    tags = {
        list_tag(fingerprint, query, coding)
        for fingerprint in (0, 1, 2, 1 << 127)
        for query in (WORKERS, OPERATIONS, OperationsQuery(limit=3))
        for coding in ("identity", "gzip", "zstd")
    }
    assert len(tags) == 36
    assert list_tag(1, WORKERS, "gzip") == list_tag(1, WorkersQuery(), "gzip")
    assert len({body_tag(b"a"), body_tag(b"b"), body_tag(b"a", "gzip")}) == 3


@pytest.mark.parametrize("value", ['"t"', 'W/"t"', '"s", "t"', '"s",W/"t"', "*"])
def test_a_client_that_names_the_tag_has_it(value: str) -> None:
    assert has_already(value, '"t"')


@pytest.mark.parametrize("value", [None, "", '"s"', "t", '"t', '"t"x'])
def test_another_does_not(value: str | None) -> None:
    assert not has_already(value, '"t"')
