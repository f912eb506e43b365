"""Containers as people treat them: run, ended, killed, renamed, paused, connected. A machine's rules, and their model.

Knows nothing of registers: whoever listens to the engine is told by `deliver`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

from attrs import define, field
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from mooring_register.engine.memory_engine import MemoryEngine
from mooring_register.engine.seam import DockerEvent

NAMES = st.sampled_from("ab")
IMAGES = st.sampled_from(["web", "db"])
CONSUMES = {"BACKEND_DB": "db;5432"}
PORTS = st.sampled_from([("80/tcp",), ("80/tcp", "443/tcp")])


@define
class Box:
    """A container as the model knows it. `ports` are what it publishes; `pending`: Docker has not said where yet.

    `started` names its present life. It is blameless while nothing in that life was a reason to withdraw it.
    """

    id: str
    image: str
    ports: tuple[str, ...]
    health: str = ""
    running: bool = True
    paused: bool = False
    pending: bool = False
    networks: dict[str, str] = field(factory=dict)
    started: str = ""
    is_blameless: bool = True


class Containers(RuleBasedStateMachine):
    """An engine and its containers; `boxes` is the model, by name, and `places` whatever was published ever."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0
        self.engine = MemoryEngine(self.time)
        self.boxes: dict[str, Box] = {}
        self.places: set[tuple[str, str, str]] = set()
        self._seen_nano = 0

    def time(self) -> float:
        """Return the present time, the same for all."""
        return self.now

    @rule(name=NAMES, image=IMAGES, ports=PORTS, has_healthcheck=st.booleans(), is_pending=st.booleans())
    def run(self, name: str, image: str, ports: tuple[str, ...], has_healthcheck: bool, is_pending: bool) -> None:
        """Run a container; one of that name that is there already is removed for it, dead or alive."""
        self.remove(name)
        box_id = self.engine.run(name, image, ports=ports, environment=CONSUMES, has_healthcheck=has_healthcheck)
        self.boxes[name] = Box(box_id, image, ports, "starting" if has_healthcheck else "")
        self.boxes[name].networks["bridge"] = self.inspected(box_id)["NetworkSettings"]["Networks"]["bridge"][
            "IPAddress"
        ]
        self.boxes[name].started = self.inspected(box_id)["State"]["StartedAt"]
        if is_pending:
            self.fill_in_ports(name, is_pending=True)
        self._happened()

    @rule(name=NAMES)
    def remove(self, name: str) -> None:
        """Remove a container, dead or alive."""
        if (box := self.boxes.pop(name, None)) is not None:
            self.engine.remove(box.id)
            self._happened()

    @rule(name=NAMES, how=st.sampled_from(["stop", "kill -9", "crash"]))
    def end(self, name: str, how: str) -> None:
        """A container ends: it is stopped, killed, or dies by itself."""
        for box in self._having(name, running=True):
            match how:
                case "stop":
                    self.engine.stop(box.id)
                case "kill -9":
                    self.engine.kill(box.id, "SIGKILL")
                case _:
                    self.engine.crash(box.id, 1)
            box.running = box.paused = False
            self._happened()

    @rule(name=NAMES)
    def start_again(self, name: str) -> None:
        """A container that ended is started, on other ports of the host."""
        for box in self._having(name, running=False):
            self.engine.start(box.id)
            box.running, box.pending, box.is_blameless = True, False, box.health != "unhealthy"
            box.started = self.inspected(box.id)["State"]["StartedAt"]
            self._happened()

    @rule(name=NAMES)
    def restart_container(self, name: str) -> None:
        """A container is stopped and started at once."""
        self.end(name, "stop")
        self.start_again(name)

    @rule(name=NAMES, signal=st.sampled_from(["HUP", "TERM"]))
    def survive(self, name: str, signal: str) -> None:
        """A container is sent a signal that it survives."""
        for box in self._having(name, running=True):
            self.engine.kill(box.id, signal, survives=True)
            self._happened()

    @rule(name=NAMES)
    def pause_or_go_on(self, name: str) -> None:
        """A container is frozen, or goes on."""
        for box in self._having(name, running=True):
            (self.engine.unpause if box.paused else self.engine.pause)(box.id)
            box.paused, box.is_blameless = not box.paused, False
            self._happened()

    @rule(name=NAMES, health=st.sampled_from(["healthy", "unhealthy"]))
    def be_found(self, name: str, health: str) -> None:
        """The check of a container finds it healthy or not."""
        for box in self._having(name, running=True):
            if box.health:
                self.engine.become(box.id, health)
                box.health, box.is_blameless = health, box.is_blameless and health == "healthy"
                self._happened()

    @rule(name=NAMES, other=NAMES)
    def rename(self, name: str, other: str) -> None:
        """A container is given a name that is free."""
        if name in self.boxes and other not in self.boxes:
            self.boxes[other] = self.boxes.pop(name)
            self.boxes[other].is_blameless = False
            self.engine.rename(self.boxes[other].id, other)
            self._happened()

    @rule(name=NAMES, is_pending=st.booleans())
    def fill_in_ports(self, name: str, is_pending: bool) -> None:
        """Docker says late where the ports of a container are published; no event tells of it."""
        for box in self._having(name, running=True):
            self.engine.publish(box.id, pending=is_pending)
            box.pending, box.is_blameless = is_pending, False
            self._happened()

    @rule(name=NAMES, network=st.sampled_from(["apps", "zone"]), is_connected=st.booleans())
    def change_networks(self, name: str, network: str, is_connected: bool) -> None:
        """A container is taken into another network, or out of it."""
        for box in self._having(name, running=True):
            if is_connected:
                box.networks[network] = f"10.1.0.{len(self.places) % 250 + 1}"
                self.engine.connect(box.id, network, box.networks[network])
            elif box.networks.pop(network, None):
                self.engine.disconnect(box.id, network)
            self._happened()

    def _having(self, name: str, *, running: bool) -> Iterator[Box]:
        """Iterate over the container of that name, if there is one in that state."""
        if name in self.boxes and self.boxes[name].running is running:
            yield self.boxes[name]

    def inspected(self, box_id: str) -> dict[str, Any]:
        """Return what the engine says of a container."""
        document = self.engine.inspect(box_id)
        assert document is not None
        return cast("dict[str, Any]", document)

    def _happened(self) -> None:
        """Note where ports are published now, let events go out to whoever listens, and time pass a little."""
        for box in self.boxes.values():
            self.places |= set(places_of(self.inspected(box.id)))
        events = self.engine.happened(self._seen_nano + 1)
        self._seen_nano = max([self._seen_nano, *(event.time_nano for event in events)])
        self.deliver(events)
        self.now = round(self.now + 0.001, 3)

    def deliver(self, events: tuple[DockerEvent, ...]) -> None:
        """Let whoever listens have these events."""
        raise NotImplementedError


def places_of(document: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Iterate over (container, port, port of the host) of everything that is published."""
    for port, bindings in document["NetworkSettings"]["Ports"].items():
        for binding in bindings:
            yield document["Id"], port.partition("/")[0], binding["HostPort"]
