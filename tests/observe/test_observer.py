"""Records and Actions into the model."""

from __future__ import annotations

from gateway.config.types import Address, Carries, Cas, PropertyType, Retention, Scheduler, Tap
from gateway.model.identity import Digest
from gateway.model.settings import ModelSettings
from gateway.observe.actions import ActionContent, ActionName
from gateway.observe.cas import ActionReader
from gateway.observe.observer import model_settings
from tests.observe.introspection.observed import Observed
from tests.observe.records import HASH, config, execute_request, operation

CONTENT = ActionContent(Digest("sha256", "cd", 1), Digest("sha256", "ef", 2), 5, (("pool", "a"),))


def test_the_configuration_is_told_to_the_model() -> None:
    settings = config(
        scheduler=Scheduler(
            supported_platform_properties={"cpu_count": PropertyType.MINIMUM, "pool": PropertyType.EXACT},
            worker_timeout_s=7,
            client_action_timeout_s=8,
            max_job_retries=9,
            keeps_operations=True,
        ),
        retention=Retention(completed_s=10, completed_max=11),
    )
    assert model_settings(settings) == ModelSettings(
        sees_clients=True,
        sees_workers=True,
        minimum_properties=frozenset({"cpu_count"}),
        worker_timeout_s=7,
        client_action_timeout_s=8,
        max_job_retries=9,
        keeps_operations=True,
        completed_s=10,
        completed_max=11,
    )


def test_a_tap_of_another_scheduler_shows_nothing_of_this_one() -> None:
    taps = (
        Tap("a", Address("h", 1), Address("h", 2), frozenset({Carries.EXECUTION}), scheduler="MAIN_SCHEDULER"),
        Tap("b", Address("h", 3), Address("h", 4), frozenset({Carries.WORKER_API}), scheduler="OTHER"),
    )
    settings = model_settings(config(taps=taps))
    assert settings.sees_clients
    assert not settings.sees_workers


def test_time_goes_on_with_every_record() -> None:
    observed = Observed()
    observed.tap.tick(9)
    observed.play()
    assert observed.model.now == observed.tap.unix_ns


def test_the_link_goes_on_behind_the_last_record() -> None:
    observed = Observed()
    observed.tap.tick()
    observed.play()
    position = observed.observer.position("tap-0")
    assert (position.run, position.next_sequence) == ("run-1", 3)


def test_an_action_that_was_read_is_in_the_model_at_the_time_of_the_records() -> None:
    observed = Observed()
    reader = observed.observer.actions = ActionReader(Cas(Address("127.0.0.1", 1)), observed.observer.action_found)
    connection, stream = observed.tap.execute()
    observed.tap.down(connection, stream, operation("main/c-1", 2))
    observed.publish()
    name = ActionName("main", Digest("sha256", HASH, 142))
    reader._settle(name, CONTENT)
    (known,) = observed.model.operations.values()
    assert known.action is not None
    assert (known.action.command_digest, known.action.platform) == (CONTENT.command_digest, CONTENT.platform)
    (response,) = observed.publish()
    assert response.changes.operations[0].command_digest.hash == "cd"

    connection, stream = observed.tap.execute(execute_request(skip=True))
    observed.tap.down(connection, stream, operation("main/c-2", 2))
    observed.play()
    assert [each.action for each in observed.model.operations.values()] == [known.action] * 2


def test_an_action_that_is_known_already_is_told_at_once() -> None:
    observed = Observed()
    reader = observed.observer.actions = ActionReader(Cas(Address("127.0.0.1", 1)), observed.observer.action_found)
    reader._known.remember(ActionName("main", Digest("sha256", HASH, 142)), CONTENT)
    connection, stream = observed.tap.execute()
    observed.tap.down(connection, stream, operation("main/c-1", 2))
    (response,) = observed.publish()
    assert response.changes.operations[0].timeout.nanos == 5


async def test_actions_that_a_loaded_state_lacks_are_asked_for() -> None:
    observed = Observed()
    connection, stream = observed.tap.execute()
    observed.tap.down(connection, stream, operation("main/c-1", 2))
    observed.play()
    observed.observer.want_actions()
    reader = observed.observer.actions = ActionReader(Cas(Address("127.0.0.1", 1)), observed.observer.action_found)
    observed.observer.want_actions()
    assert list(reader._pending) == [ActionName("main", Digest("sha256", HASH, 142))]


def test_what_the_link_has_brought_is_counted() -> None:
    observed = Observed()
    before = observed.observer.batches
    observed.tap.tick()
    observed.play()
    assert observed.observer.batches == before + 1
