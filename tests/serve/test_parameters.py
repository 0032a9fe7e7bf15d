import pytest

from gateway.query.filter import OperationFilter
from gateway.query.page import DEFAULT_LIMIT, MAX_LIMIT, encode_token
from gateway.serve.parameters import no_parameters, operations_query, workers_query
from gateway.serve.problems import ProblemError
from gateway.serve.replica import OperationsQuery, WorkersQuery
from gateway.serve.target import parse_target


def test_without_parameters_it_is_a_thousand_operations_and_all_workers() -> None:
    assert operations_query(parse_target("/x")) == OperationsQuery(OperationFilter(None, None), DEFAULT_LIMIT, None)
    assert DEFAULT_LIMIT == 1_000
    assert workers_query(parse_target("/x")) == WorkersQuery(MAX_LIMIT, None)


@pytest.mark.parametrize(
    ("word", "stage"),
    [("queued", "Queued"), ("Executing", "Executing"), ("COMPLETED", "Completed"), ("Cache_Check", "CacheCheck")],
)
def test_a_stage_is_one_of_the_documented_words_in_any_case(word: str, stage: str) -> None:
    assert operations_query(parse_target(f"/x?stage={word}")).filter.stages == frozenset({stage})


@pytest.mark.parametrize("word", ["", "queue", "unknown", "cachecheck", "CacheCheck", "queued,executing", " queued"])
def test_any_other_stage_is_400_that_names_the_four(word: str) -> None:
    with pytest.raises(ProblemError, match="one of queued, executing, completed, cache_check"):
        operations_query(parse_target(f"/x?stage={word}"))


@pytest.mark.parametrize(("text", "limit"), [("0", 0), ("1", 1), ("007", 7), ("100000", 100_000)])
def test_a_limit_is_a_whole_number_up_to_the_bound(text: str, limit: int) -> None:
    assert operations_query(parse_target(f"/x?limit={text}")).limit == limit
    assert workers_query(parse_target(f"/x?limit={text}")).limit == limit


@pytest.mark.parametrize("text", ["", "100001", "-1", "%2B1", "1.0", "1e3", "0x1", "%201", "1_0", "%D9%A3", "9" * 5_000])
def test_any_other_limit_is_400(text: str) -> None:
    for query in (operations_query, workers_query):
        with pytest.raises(ProblemError, match="whole number from 0 to 100000"):
            query(parse_target(f"/x?limit={text}"))


def test_a_token_is_of_its_own_list() -> None:
    operations, workers = encode_token((1, 2, 3, 4)), encode_token((1, 2))
    assert operations_query(parse_target(f"/x?page_token={operations}")).after == (1, 2, 3, 4)
    assert workers_query(parse_target(f"/x?page_token={workers}")).after == (1, 2)
    with pytest.raises(ProblemError, match="Link header"):
        operations_query(parse_target(f"/x?page_token={workers}"))
    with pytest.raises(ProblemError, match="Link header"):
        workers_query(parse_target(f"/x?page_token={operations}"))


def test_an_empty_token_is_the_beginning() -> None:
    assert operations_query(parse_target("/x?page_token=")).after is None


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("Stage", "did you mean stage"),
        ("workerid", "did you mean worker_id"),
        ("limits", "did you mean limit"),
        ("zzz", "takes stage"),
    ],
)
def test_an_unknown_parameter_is_400_that_names_the_nearest(name: str, hint: str) -> None:
    with pytest.raises(ProblemError, match=hint) as problem:
        operations_query(parse_target(f"/x?{name}=1"))
    assert problem.value.status == 400


def test_an_address_without_parameters_takes_none() -> None:
    no_parameters(parse_target("/x"))
    with pytest.raises(ProblemError, match="takes none"):
        no_parameters(parse_target("/x?limit=1"))


def test_a_parameter_comes_once() -> None:
    with pytest.raises(ProblemError, match="more than once"):
        operations_query(parse_target("/x?limit=1&limit=1"))


def test_what_is_repeated_of_a_request_is_bounded() -> None:
    with pytest.raises(ProblemError) as problem:
        operations_query(parse_target(f"/x?stage={'a' * 8_000}"))
    assert len(str(problem.value)) < 400
