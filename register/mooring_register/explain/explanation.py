"""Why a container is registered as it is, or why it is not: port by port, and where each word comes from. Pure.

What is registered is not worked out here: it is asked of `registrar`, as a running register does. What is added is the
rule behind each of its answers. A container that does not run is read as if it ran, and that is said.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from attrs import evolve, frozen

from mooring.errors import InvalidInput
from mooring.model import Instance
from mooring.selector import Selector
from mooring_register.addresses.network_sharing import NoNetwork, network_owner, shares_network
from mooring_register.addresses.reach import reach
from mooring_register.bindings.wishes import Wishes
from mooring_register.containers import Container, Inspected
from mooring_register.known_containers import Known, cause_against
from mooring_register.labels.descriptor import Descriptor, Spot, read_descriptor, said_about
from mooring_register.labels.spelling import guesses
from mooring_register.labels.word_sources import Placed, Word, registered_words, said_words
from mooring_register.port_instances import spot_of
from mooring_register.registrar import Registrar

_SHORT_ID: Final = 12


@frozen(kw_only=True)
class PortRegistered:
    """A port under one of its names. Whether it is registered now depends on the container too."""

    port: str
    service: str
    id: str
    address: str
    words: tuple[Word, ...] = ()


@frozen(kw_only=True)
class PortLeftOut:
    """A port that is not registered, and the rule; without a port it is about all of them."""

    port: str
    rule: str
    words: tuple[Word, ...] = ()


@frozen(kw_only=True)
class BindingExplained:
    """What one variable or label asks for; `rule` says why that comes to nothing, if it does."""

    name: str
    source: str
    wish: str = ""
    addresses: tuple[str, ...] = ()
    rule: str = ""


@frozen(kw_only=True)
class Problem:
    """What is wrong: with what, and why."""

    where: str
    reason: str


@frozen(kw_only=True)
class Explanation:
    """One container. `against` is why nothing of it is registered now, whatever its ports say; empty if nothing is."""

    id: str
    name: str
    image: str
    state: str
    health: str
    network: str
    against: str
    registered: tuple[PortRegistered, ...] = ()
    left_out: tuple[PortLeftOut, ...] = ()
    bindings: tuple[BindingExplained, ...] = ()
    problems: tuple[Problem, ...] = ()
    notes: tuple[str, ...] = ()
    guesses: tuple[str, ...] = ()


def as_if_it_ran(document: Inspected) -> Inspected:
    """Return Docker's answer about a container that ended as it would be if it ran.

    A port that is published under a number of Docker's choice has none then, and is told as such.
    """
    host, network = document.get("HostConfig") or {}, document.get("NetworkSettings") or {}
    ports = {
        text: [binding for binding in bindings or [] if str(binding.get("HostPort") or "").isdecimal()]
        for text, bindings in (host.get("PortBindings") or {}).items()
    }
    state: dict[str, Any] = {"Running": True, "Paused": False, "Restarting": False, "Health": None}
    return {
        **document,
        "State": {**(document.get("State") or {}), **state},
        "NetworkSettings": {**network, "Ports": ports},
    }


def explanation_of(container: Container, state: Registrar, binding_prefix: str) -> Explanation:
    """Explain a container as it was inspected; `state` knows it too, read as if it ran when it does not."""
    known = state.containers[container.id]
    descriptor = read_descriptor(_bare(container), container.labels, container.environment)
    ports = {mapping.port for mapping in known.container.ports}
    return Explanation(
        id=container.id,
        name=_bare(container),
        image=container.image,
        state=_state(container),
        health=container.health,
        network=_network(known, state),
        against=cause_against(container) if container.running else "it does not run",
        registered=tuple(_registered(known, state, descriptor)),
        left_out=(*_left_out(known, descriptor), *_taken(known, state)),
        bindings=tuple(_bindings(container, known)),
        problems=tuple(dict.fromkeys(_problem(container, one) for one in _problems(known, state))),
        notes=tuple(note.removeprefix(f"{_bare(container)}: ") for note in known.reading.notes),
        guesses=tuple(guesses(container, descriptor, ports, binding_prefix)),
    )


def _bare(container: Container) -> str:
    return container.name.removeprefix("/")


def _state(container: Container) -> str:
    if container.restarting:
        return "restarting"
    if container.running:
        return "paused" if container.paused else "running"
    return f"exited {container.exit_code}" if container.started_at else "created, not started"


def _network(known: Known, state: Registrar) -> str:
    container = known.container
    if container.network_mode == "host":
        return "the host's"
    if shares_network(container):
        owner = network_owner(container, {one: each.container for one, each in state.containers.items()})
        return owner.reason if isinstance(owner, NoNetwork) else f"that of {_bare(owner)}"
    each = (" ".join(filter(None, (one.name, one.ipv4, one.ipv6))) for one in container.networks)
    return ", ".join(each) or "none"


def _registered(known: Known, state: Registrar, descriptor: Descriptor) -> Iterator[PortRegistered]:
    reached = reach(known.container, state.policy, known.owner)
    places = {(place.port, place.address): place for place in reached.places}
    for one in known.reading.instances:
        if not _is_taken(one, state):
            place = places[one.port or one.address.port, one.address]
            placed = Placed(one, place, said_about(descriptor, spot_of(place)))
            yield PortRegistered(
                port=f"{one.port}/{one.address.proto}",
                service=one.service,
                id=one.id,
                address=str(one.address),
                words=tuple(registered_words(known, state.policy, placed)),
            )


def _is_taken(instance: Instance, state: Registrar) -> bool:
    holder = state.instances.get(instance.key)
    return holder is not None and holder.container != instance.container


def _left_out(known: Known, descriptor: Descriptor) -> Iterator[PortLeftOut]:
    for one in known.reading.not_registered:
        port, _, proto = one.port.partition("/")
        said = said_about(descriptor, Spot(int(port), proto)) if proto else {}
        words = tuple(said_words(known, said))
        yield PortLeftOut(port=one.port, rule=one.reason, words=words)


def _taken(known: Known, state: Registrar) -> Iterator[PortLeftOut]:
    for one in known.reading.instances:
        if _is_taken(one, state):
            holder = state.instances[one.key].name.removeprefix("/")
            rule = f"id {one.id} of service {one.service} is held by {holder}"
            yield PortLeftOut(port=f"{one.port}/{one.address.proto}", rule=rule)


def _bindings(container: Container, known: Known) -> Iterator[BindingExplained]:
    wishes: Wishes = known.reading.wishes
    wrong = {one.where for one in known.reading.problems}
    at = known.bound_at
    for name in sorted(container.wishes):
        source = "label" if name in container.other_labels or name in container.labels else "variable"
        if (wish := wishes.get(name)) is not None:
            text = f"{Selector(wish.selector.name, wish.selector.tags)} on {wish.port}/{wish.proto}"
            addresses, rule = (at.addresses, at.reason) if at else ((), "")
            yield BindingExplained(name=name, source=source, wish=text, addresses=addresses, rule=rule)
        else:
            # Its value is not repeated: what bears the prefix by chance may hold a password.
            is_wrong = f"{_bare(container)}: {name}" in wrong
            rule = "it cannot be meant, see the problems" if is_wrong else "another one asks for the same"
            yield BindingExplained(name=name, source=source, rule=rule)


def _problems(known: Known, state: Registrar) -> Iterator[InvalidInput]:
    yield from known.problems
    for one in state.problems:
        if one.where == _bare(known.container):
            yield one


def _problem(container: Container, one: InvalidInput) -> Problem:
    return Problem(where=one.where.removeprefix(f"{_bare(container)}: "), reason=one.reason)


def shortened(explanation: Explanation) -> Explanation:
    """Return it with the container's id as Docker shows it."""
    return evolve(explanation, id=explanation.id[:_SHORT_ID])
