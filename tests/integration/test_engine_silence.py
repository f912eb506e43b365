"""An engine that stands still, as a whole or about one container: noticed, told, and no harm to anybody else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mooring_register.engine.client import TIMEOUT_SECONDS
from tests.engine_doors import Haproxy
from tests.integration.journeys import Journey, begun
from tests.servers import EtcdServer
from tests.waiting import wait_until

# A question, and another one that tells whether anybody is there at all, on a busy machine.
NOTICED_SECONDS = 4.0 * TIMEOUT_SECONDS

pytestmark = [pytest.mark.docker, pytest.mark.haproxy, pytest.mark.timeout(30 + 3 * NOTICED_SECONDS)]


@pytest.fixture
def journey(etcd_server: EtcdServer, tmp_path: Path, namespace: str, whoami_image: str) -> Iterator[Journey]:
    """Give a registry, and containers."""
    with begun(etcd_server, tmp_path, namespace, whoami_image) as one:
        yield one


@pytest.mark.parametrize("spoiling", ["tarpit", "return status 500"])
def test_one_container_that_nothing_is_said_of(journey: Journey, tmp_path: Path, spoiling: str) -> None:
    """What is never answered, or always with an error, is told, counted and asked again; others are registered."""
    silent, other = journey.container(), journey.container()
    rule = f"{spoiling} if {{ path_sub /{silent.id} }}"
    with Haproxy(tmp_path / "door", spoiled=[rule]) as door:
        register = journey.register(["--docker", f"tcp://127.0.0.1:{door.port}"], {})
        journey.await_only(other)
        later = journey.container()
        journey.await_only(other, later)
        state = register.state()
        assert [line.partition(":")[0] for line in state["no answer about"]] == [silent.id]
        assert state["engine lost since"] is None
        assert register.metric("mooring_register_unanswered_inspections_total") >= 1
        assert len(register.events("the engine gives no answer about a container")) == 1
        silent.kill()
        wait_until(lambda: register.state()["no answer about"] == [], "its death to be believed")


def test_an_engine_that_stands_still_at_the_start(journey: Journey, tmp_path: Path) -> None:
    """Who accepts and never answers is told as one that does not answer, and register begins when it does."""
    with Haproxy(tmp_path / "door") as door:
        door.pause()
        register = journey.register(["--docker", f"tcp://127.0.0.1:{door.port}"], {})
        wait_until(lambda: "Read timed out" in register.ask("/readyz")[1], "it to be told", NOTICED_SECONDS)
        assert "Read timed out" in register.state()["engine problem"]
        door.resume()
        register.ready()


def test_an_engine_that_stands_still_later(journey: Journey, tmp_path: Path) -> None:
    """Its silence is noticed by the next comparison at the latest; nothing is withdrawn, and everything found again."""
    stays = journey.container()
    with Haproxy(tmp_path / "door") as door:
        register = journey.register(["--docker", f"tcp://127.0.0.1:{door.port}", "--resync", "1"], {}).ready()
        journey.await_only(stays)
        before = journey.keys()
        door.pause()
        wait_until(lambda: register.state()["engine lost since"], "the silence to be noticed", NOTICED_SECONDS)
        assert "Read timed out" in register.state()["engine problem"]
        assert journey.keys() == before
        came = journey.container()
        door.resume()
        wait_until(lambda: register.state()["engine lost since"] is None, "the return to be noticed", NOTICED_SECONDS)
        journey.await_only(stays, came)
