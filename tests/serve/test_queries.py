from gateway.query.filter import OperationFilter
from gateway.serve.queries import OperationsQuery


def test_an_age_is_a_time_of_insertion_once_it_is_asked() -> None:
    query = OperationsQuery(OperationFilter(worker_id="w"), min_age_s=0.5)
    assert query.at(10.9) == OperationsQuery(OperationFilter(worker_id="w", inserted_by=9_500_000_000))
    plain = OperationsQuery()
    assert plain.at(10.9) is plain
