"""From what containers ask for to their bindings."""

from typing import Any

import pytest
from attrs import evolve

from mooring.model import Binding
from mooring_register.addresses.reach import Policy
from mooring_register.containers import DEFAULT_BINDING_PREFIX, Container, Network, read_container
from mooring_register.observations import Died, Inspected, Listed, Observation
from mooring_register.registrar import Registrar, apply

EMPTY = Registrar(policy=Policy(host="h", ip="10.0.0.1"))
BRIDGE = Network("bridge", "172.17.0.9")
WEB = Container(id="c1", name="/web", wishes={"BACKEND_DB": "db;5432"}, networks=(BRIDGE,), started_at=100.0)
SIDECAR = Container(id="c2", name="/sidecar", network_mode="container:c1", started_at=200.0)


def after(*observations: Observation, state: Registrar = EMPTY) -> Registrar:
    """Return the state after observations that came together."""
    return apply(state, observations, 1000.0)


def running(*containers: Container, state: Registrar = EMPTY) -> Registrar:
    """Return the state while exactly these containers run."""
    return after(Listed(frozenset(one.id for one in containers), containers, 900.0), state=state)


def places(state: Registrar) -> dict[str, tuple[str, ...]]:
    """Return the addresses of each binding that is wanted."""
    return {key: binding.addresses for key, binding in state.bindings.items()}


def told(state: Registrar) -> list[str]:
    """Return the problems, in words."""
    return [str(problem) for problem in state.problems]


def consumer(
    environment: list[str], labels: dict[str, str] | None = None, prefix: str = DEFAULT_BINDING_PREFIX
) -> Container:
    """Return a consumer as Docker describes it."""
    document: dict[str, Any] = {
        "Id": "c1",
        "Name": "/web",
        "Config": {"Env": environment, "Labels": labels},
        "State": {"Running": True},
        "NetworkSettings": {"Networks": {"bridge": {"IPAddress": "172.17.0.9"}}},
    }
    return read_container(document, prefix)


def test_the_whole_of_it() -> None:
    """A wish becomes a binding that names the service, the port, the consumer and where it is."""
    state = running(consumer(["BACKEND_DB=db[master,eu];5432/udp;K=V"]))
    assert state.bindings == {
        "h/c1/BACKEND_DB": Binding(
            key="h/c1/BACKEND_DB",
            service="db",
            port=5432,
            proto="udp",
            tags=("master", "eu"),
            options={"K": "V"},
            addresses=("172.17.0.9",),
            host="h",
            container="c1",
        )
    }


def test_one_wish_twice() -> None:
    """E-C1: two variables with the same definition are one binding, and other variables none."""
    state = running(consumer(["BACKEND_DB2=db;5432", "BACKEND_DB=db;5432", "OTHER=x;1"]))
    assert list(state.bindings) == ["h/c1/BACKEND_DB"]
    assert told(state) == []


def test_two_services_on_one_port() -> None:
    """Of two services that a container wants on one port the first by name counts, and the other is reported."""
    state = running(consumer(["BACKEND_B=b;5432", "BACKEND_A=a;5432", "BACKEND_C=c;5432/udp"]))
    assert [binding.service for binding in state.bindings.values()] == ["a", "c"]
    assert told(state) == ["web: BACKEND_B: port 5432/tcp is taken by BACKEND_A"]


def test_an_equals_sign_in_the_value() -> None:
    """E-C2: a variable is split at its first equals sign only."""
    (binding,) = running(consumer(["BACKEND_A=a;80;K=V=W"])).bindings.values()
    assert binding.options == {"K": "V=W"}


def test_the_prefix_is_literal() -> None:
    """E-C3: a prefix is no pattern: `SVC.` is not `SVCX`."""
    state = running(consumer(["SVC.A=a;80", "SVCXB=b;81", "BACKEND_C=c;82"], prefix="SVC."))
    assert list(state.bindings) == ["h/c1/SVC.A"]


def test_labels_too() -> None:
    """A wish may stand in a label, which wins over the variable of the same name."""
    state = running(consumer(["BACKEND_A=a;80"], {"BACKEND_A": "b;80", "BACKEND_C": "c;81"}))
    assert [binding.service for binding in state.bindings.values()] == ["b", "c"]


def test_a_broken_one_beside() -> None:
    """E-D7: a value that is no wish is reported without being repeated, and the others of the container work."""
    state = running(consumer(["BACKEND_URL=http://u:hunter2@db", "BACKEND_DB=db;5432"]))
    assert list(state.bindings) == ["h/c1/BACKEND_DB"]
    assert told(state) == ["web: BACKEND_URL: expected NAME;PORT, there is no ';'"]


def test_a_network_of_its_own_choice() -> None:
    """E-C5: a container on user-defined networks only is known by its addresses there, on all of them."""
    networks = (Network("apps", "172.20.0.2", "fd00::2"), Network("zone", "172.21.0.3"))
    state = running(evolve(WEB, network_mode="apps", networks=networks))
    assert places(state) == {"h/c1/BACKEND_DB": ("172.20.0.2", "fd00::2", "172.21.0.3")}


def test_the_host_network() -> None:
    """A container in the host's network is known by the host's address; when nobody knows that, it is reported."""
    in_host = evolve(WEB, network_mode="host", networks=(Network("host"),))
    assert places(running(in_host)) == {"h/c1/BACKEND_DB": ("10.0.0.1",)}
    unknown = running(in_host, state=Registrar(policy=Policy(host="h")))
    assert unknown.bindings == {}
    assert told(unknown) == ["web: BACKEND_DB: the host's address is not known"]


def test_shared_networks() -> None:
    """E-C4: a container in another one's network is known by that one's address, along a chain of any length."""
    third = evolve(SIDECAR, id="c3", network_mode="container:c2", wishes={"BACKEND_C": "cache;6379"}, started_at=300.0)
    state = running(WEB, SIDECAR, third)
    assert places(state) == {"h/c1/BACKEND_DB": ("172.17.0.9",), "h/c3/BACKEND_C": ("172.17.0.9",)}


def test_networks_shared_in_a_loop() -> None:
    """E-C4: containers that share their networks in a circle have no bindings, and that is reported."""
    state = running(
        evolve(WEB, network_mode="container:c2", started_at=200.0, networks=()),
        evolve(SIDECAR, network_mode="container:c1"),
    )
    assert state.bindings == {}
    assert any("web: BACKEND_DB: it shares a network in a loop" in problem for problem in told(state))


def test_the_owner_of_a_network_ends() -> None:
    """When the container that a network belongs to ends, who shares it has no address any more."""
    both = running(WEB, evolve(SIDECAR, wishes={"BACKEND_C": "cache;6379"}))
    state = after(Died("c1", 0, 950.0), state=both)
    assert state.bindings == {}
    assert told(state) == ["sidecar: BACKEND_C: it shares the network of c1, which does not run"]


def test_another_container_needs_the_same() -> None:
    """A binding is its container's own: one that asks for the same at the same address keeps it when the other ends."""
    twin = evolve(SIDECAR, wishes=WEB.wishes)
    owner = evolve(SIDECAR, id="c0", network_mode="default", networks=(BRIDGE,), started_at=50.0)
    first = evolve(WEB, network_mode="container:c0", networks=())
    second = evolve(twin, network_mode="container:c0")
    state = after(Died("c1", 0, 950.0), state=running(owner, first, second))
    assert places(state) == {"h/c2/BACKEND_DB": ("172.17.0.9",)}


def test_withdrawn_when_it_ends() -> None:
    """E-C6: a consumer that ended has no binding, removed or not; started again it has one at its new address."""
    ended = after(Died("c1", 0, 950.0), state=running(WEB))
    again = evolve(WEB, started_at=960.0, networks=(Network("bridge", "172.17.0.12"),))
    assert ended.bindings == {}
    assert places(after(Inspected(again, "started", 960.0), state=ended)) == {"h/c1/BACKEND_DB": ("172.17.0.12",)}


@pytest.mark.parametrize("change", [{"paused": True}, {"health": "unhealthy"}, {"health": "starting"}])
def test_kept_while_it_runs(change: dict[str, Any]) -> None:
    """A consumer that runs, however badly, keeps its bindings: it may need them to become well."""
    state = running(evolve(WEB, **change))
    assert list(state.bindings) == ["h/c1/BACKEND_DB"]


def test_between_two_attempts() -> None:
    """A consumer that Docker is about to restart has no binding, and nothing is wrong with that."""
    state = running(evolve(WEB, restarting=True, networks=(Network("bridge"),)))
    assert (state.bindings, told(state)) == ({}, [])


def test_without_an_address() -> None:
    """A consumer that no proxy could tell from others is reported."""
    assert told(running(evolve(WEB, networks=(), network_mode="none"))) == [
        "web: BACKEND_DB: it has no address of its own"
    ]


def test_nothing_is_worked_out_twice() -> None:
    """What nothing happened to is the very same value as before; another network is another address."""
    before = running(WEB)
    same = after(Inspected(evolve(SIDECAR, wishes={}), "started", 950.0), state=before)
    assert same.bindings["h/c1/BACKEND_DB"] is before.bindings["h/c1/BACKEND_DB"]
    connected = evolve(WEB, networks=(BRIDGE, Network("zone", "172.21.0.3")))
    moved = after(Inspected(connected, "network connected", 960.0), state=same)
    assert places(moved) == {"h/c1/BACKEND_DB": ("172.17.0.9", "172.21.0.3")}
