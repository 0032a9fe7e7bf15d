import pytest

from gateway.query.filter import OperationFilter, WorkerFilter
from gateway.query.page import DEFAULT_LIMIT, MAX_LIMIT, encode_token
from gateway.serve.parameters import (
    events_query,
    is_full,
    no_parameters,
    operation_question,
    operations_query,
    waits,
    workers_query,
)
from gateway.serve.problems import ProblemError
from gateway.serve.queries import EventsQuery, OperationsQuery, Wait, WorkersQuery
from gateway.serve.target import parse_target


def test_without_parameters_it_is_a_thousand_operations_and_all_workers() -> None:
    assert operations_query(parse_target("/x")) == OperationsQuery(OperationFilter(), DEFAULT_LIMIT, None)
    assert DEFAULT_LIMIT == 1_000
    assert workers_query(parse_target("/x")) == WorkersQuery(WorkerFilter(), MAX_LIMIT, None)


@pytest.mark.parametrize(
    ("word", "stage"),
    [("queued", "Queued"), ("Executing", "Executing"), ("COMPLETED", "Completed"), ("Cache_Check", "CacheCheck")],
)
def test_a_stage_is_one_of_the_documented_words_in_any_case(word: str, stage: str) -> None:
    assert operations_query(parse_target(f"/x?stage={word}")).filter.stages == frozenset({stage})


@pytest.mark.parametrize("word", ["", "queue", "unknown", "cachecheck", "CacheCheck", "queued,", "queued;executing"])
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
        ("zzz", "takes view, stage"),
        ("property.", "did you mean property.NAME"),
        ("propertyISA", "takes view"),
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


def test_several_stages_have_commas_between_them() -> None:
    query = operations_query(parse_target("/x?stage=queued,%20Executing"))
    assert query.filter.stages == frozenset({"Queued", "Executing"})


def test_every_filter_of_operations_reaches_the_query() -> None:
    address = (
        "/x?digest=sha256:ABC&instance=&invocation_id=i&target=//a&mnemonic=Cpp&status=DEADLINE_exceeded&min_age_s=1.5"
        "&property.b=2&property.a=x%3Dy&worker_id=w&view=full&limit=7"
    )
    wanted = OperationFilter(
        worker_id="w",
        digest_hash="abc",
        instance_name="",
        invocation_id="i",
        target="//a",
        mnemonic="Cpp",
        properties=(("a", "x=y"), ("b", "2")),
        status_code=4,
    )
    assert operations_query(parse_target(address)) == OperationsQuery(wanted, 7, is_full=True, min_age_s=1.5)


def test_an_age_becomes_a_time_of_insertion_to_the_second() -> None:
    query = operations_query(parse_target("/x?min_age_s=1.5"))
    assert query.at(100.9).filter.inserted_by == 98_500_000_000
    assert query.at(100.9) == query.at(100.1) != query.at(101.0)
    plain = operations_query(parse_target("/x"))
    assert plain.at(100) is plain


def test_every_filter_of_workers_reaches_the_query() -> None:
    query = workers_query(parse_target("/x?state=Paused,full&id_prefix=w-&property.ISA=arm&view=basic"))
    assert query == WorkersQuery(WorkerFilter(frozenset({"paused", "full"}), (("ISA", "arm"),), "w-"))


def test_in_full_a_page_is_shorter() -> None:
    for query in (operations_query, workers_query):
        assert query(parse_target("/x?view=full")).limit == 100
        assert query(parse_target("/x?view=full&limit=1000")).limit == 1_000
        with pytest.raises(ProblemError, match="whole number from 0 to 1000 in full"):
            query(parse_target("/x?view=full&limit=1001"))


@pytest.mark.parametrize(
    ("parameter", "right"),
    [
        ("view=FULL", "one of basic, full"),
        ("status=4", "one of ok, cancelled, unknown"),
        ("min_age_s=", "number of seconds from 0 to 31536000"),
        ("min_age_s=-1", "number of seconds"),
        ("min_age_s=nan", "number of seconds"),
        ("min_age_s=31536001", "number of seconds"),
        ("property.a=1&property.a=2", "more than once"),
    ],
)
def test_any_other_value_is_400_that_says_what_would_be_right(parameter: str, right: str) -> None:
    with pytest.raises(ProblemError, match=right):
        operations_query(parse_target(f"/x?{parameter}"))


def test_any_other_state_is_400_that_names_them() -> None:
    with pytest.raises(ProblemError, match="one of active, paused, draining, full"):
        workers_query(parse_target("/x?state=busy"))


def test_an_entity_takes_a_view_and_nothing_else() -> None:
    assert is_full(parse_target("/x?view=full"))
    assert not is_full(parse_target("/x"))
    with pytest.raises(ProblemError, match="takes view"):
        is_full(parse_target("/x?limit=1"))


def test_a_wait_is_for_a_stage_and_a_minute_unless_said_otherwise() -> None:
    assert operation_question(parse_target("/x")) == (False, None)
    completed = frozenset({"Completed"})
    assert operation_question(parse_target("/x?wait_for=completed")) == (False, Wait(completed, 60.0))
    assert operation_question(parse_target("/x?view=full&wait_for=COMPLETED&timeout=0.5")) == (True, Wait(completed, 0.5))
    # What completed before anybody looked has been executing.
    assert operation_question(parse_target("/x?wait_for=completed&timeout=1.5e-7")) == (False, Wait(completed, 1.5e-7))
    assert operation_question(parse_target("/x?wait_for=executing&timeout=300")) == (False, Wait(completed | {"Executing"}, 300.0))


@pytest.mark.parametrize("text", ["", "-1", "300.1", "1e3", "1e", "nan", "1 ", "9" * 5_000])
def test_any_other_timeout_is_400(text: str) -> None:
    with pytest.raises(ProblemError, match=r"timeout is .* a number of seconds from 0 to 300"):
        operation_question(parse_target(f"/x?wait_for=completed&timeout={text}"))


def test_what_waits_says_so() -> None:
    assert waits(parse_target("/x?view=full&wait_for=nonsense"))
    assert not waits(parse_target("/x?timeout=3"))


def test_without_parameters_events_are_about_everything() -> None:
    assert events_query(parse_target("/x")) == EventsQuery(WorkerFilter(), OperationFilter())


def test_events_are_filtered_as_the_lists_are() -> None:
    of_workers, of_operations = (
        "state=paused&id_prefix=a&property.p=1",
        "stage=queued&worker_id=w&target=//x&status=OK&property.p=1",
    )
    query = events_query(parse_target(f"/x?{of_workers}&stage=queued&worker_id=w&target=//x&status=OK&since=e-1-5"))
    assert query.workers == workers_query(parse_target(f"/x?{of_workers}")).filter
    assert query.operations == operations_query(parse_target(f"/x?{of_operations}")).filter
    assert query.since == ("e-1", 5)


def test_events_are_of_the_kinds_that_are_named() -> None:
    assert events_query(parse_target("/x?kind=Workers,health")) == EventsQuery(
        WorkerFilter(), None, scheduler=False, health=True, drains=False
    )
    only = events_query(parse_target("/x?kind=operations&property.p=1"))
    assert only == EventsQuery(None, OperationFilter(properties=(("p", "1"),)), scheduler=False, health=False, drains=False)


@pytest.mark.parametrize(
    ("query", "why"),
    [
        ("kind=", "kind is '': it is one of"),
        ("kind=workers,", "one of workers, operations, scheduler, health, drains"),
        ("kind=health&stage=queued", "stage is about operations"),
        ("kind=operations&state=full", "state is about workers"),
        ("since=", "since is ''"),
        ("min_age_s=5", "Unknown parameter 'min_age_s'"),
        ("limit=5", "Unknown parameter 'limit'"),
        ("stage=running", "stage is 'running'"),
    ],
)
def test_what_events_cannot_be_asked_for_is_400(query: str, why: str) -> None:
    with pytest.raises(ProblemError, match=why):
        events_query(parse_target(f"/x?{query}"))
