from gateway.pb import introspection_pb2 as pb
from gateway.query.order import operation_order, worker_order
from gateway.serve.rows import operation_row, worker_row
from tests.serve.builders import documented_operation, documented_worker

NS = 1_000_000_000


def test_a_worker_has_its_key_and_its_id() -> None:
    row = worker_row(documented_worker())
    assert (row.arrival, row.key, row.ids) == (1, worker_order(1_640_995_000 * NS, 1), ("worker-123",))
    assert worker_row(pb.Worker(id="a", arrival=7)).key == worker_order(None, 7)


def test_an_operation_has_its_key_and_each_of_its_ids_once() -> None:
    row = operation_row(documented_operation())
    assert row.key == operation_order(
        "Executing", priority=0, insert_at=1_640_995_201 * NS + 5, assigned_at=1_640_995_202 * NS, finished_at=None, arrival=2
    )
    assert row.ids == ("op-456", "client-op-456", "client-op-457")
    assert (row.stage, row.worker_id, row.instance_name) == ("Executing", "worker-123", "main")


def test_what_is_not_known_of_an_operation_is_none_in_its_key() -> None:
    row = operation_row(pb.Operation(arrival=3, stage=pb.STAGE_QUEUED))
    assert row.key == operation_order("Queued", priority=None, insert_at=None, assigned_at=None, finished_at=None, arrival=3)
    assert (row.ids, row.worker_id) == ((), None)


def test_a_stage_of_a_later_contract_is_unknown() -> None:
    assert operation_row(pb.Operation(stage=99)).stage == "Unknown"  # type: ignore[arg-type]


def test_rows_of_the_same_message_are_equal() -> None:
    assert operation_row(documented_operation()) == operation_row(documented_operation())
    assert operation_row(documented_operation()) != operation_row(pb.Operation(arrival=2))


def test_rows_have_the_same_fingerprint_exactly_if_they_are_equal() -> None:
    plain, properties = pb.Operation(arrival=3, stage=pb.STAGE_QUEUED), pb.Operation(arrival=3, stage=pb.STAGE_QUEUED)
    for name, value in (("a", "1"), ("b", "2")):
        properties.platform_properties.properties.add(name=name, value=value)
    targets, later, filled = pb.Operation(arrival=3), pb.Operation(arrival=4), documented_operation()
    targets.target_ids.append("//a:a")
    rows = [operation_row(each) for each in (plain, properties, targets, later, filled)]
    assert len({row.fingerprint for row in rows}) == len(rows)
    assert operation_row(documented_operation()).fingerprint == rows[-1].fingerprint
    assert worker_row(documented_worker()).fingerprint == worker_row(documented_worker()).fingerprint != 0
