from __future__ import annotations

import pytest

from gateway.simulation.settings import Settings


def test_scaling_shrinks_the_clients_times_and_not_the_workers() -> None:
    settings = Settings(client_action_timeout_s=12).scaled(0.1)
    assert settings.client_action_timeout_s == pytest.approx(1.2)
    assert settings.client_keep_alive_s == pytest.approx(1)
    assert settings.sweep_s == pytest.approx(0.5)
    assert settings.worker_timeout_s == 5
