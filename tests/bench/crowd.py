"""Many containers that an engine over HTTP pretends to have, a register of them, and an etcd."""

from __future__ import annotations

import os
import random
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from mooring.documents import decode_instance
from mooring.etcd.client import connect
from mooring.etcd.store import Store
from mooring.model import State, parse_address
from tests.http_engine import Call, HttpEngine
from tests.integration.registers import Registers
from tests.servers import EtcdServer
from tests.slow_door import SlowDoor
from tests.waiting import wait_until

LONG_SECONDS: Final = 600.0
_LOOK_SECONDS: Final = 0.05
_AT_ONCE: Final = 500
_SERVICES: Final = 200
_TICKS_PER_SECOND: Final = os.sysconf("SC_CLK_TCK")
EVENTS_OF_A_RESTART: Final = 6
BINDINGS_ARE_ONE_IN: Final = 10


class Crowd:
    """An engine with containers, and a register of them that writes to an etcd; its `with` block ends them."""

    def __init__(self, etcd: EtcdServer, directory: Path, name: str, *, delay_seconds: float = 0.0) -> None:
        self._etcd = etcd
        self._directory = directory
        self._name = name
        self.prefix = f"/{name}/"
        self._delay_seconds = delay_seconds
        self._random = random.Random(4)
        self._stack = ExitStack()
        self._names = 0
        self.told = 0
        self.names: dict[str, str] = {}

    def __enter__(self) -> Self:
        self._engine = self._stack.enter_context(HttpEngine(self._directory))
        port = self._etcd.port
        if self._delay_seconds:
            port = self._stack.enter_context(SlowDoor(port, self._delay_seconds)).port
        self.store: Store = connect([parse_address(self._etcd.address)])
        self._stack.callback(self.store.close)
        self._address = f"etcd://127.0.0.1:{port}/{self._name}"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    # -- containers

    def fill(self, count: int) -> None:
        """Run so many containers more."""
        for start in range(0, count, _AT_ONCE):
            self._run(min(_AT_ONCE, count - start))

    def _run(self, count: int) -> None:
        names = [f"one.{self._names + number}" for number in range(count)]
        self._names += count
        containers = self._engine.told(*(_running(name, number) for number, name in enumerate(names)))
        self.names |= dict(zip(containers, names, strict=True))

    def churn(self, count: int, *, are_new: bool) -> None:
        """End some containers, and start them again or run others instead."""
        ended = self._random.sample(sorted(self.names), count)
        if are_new:
            self._engine.told(*(("remove", [one], {}) for one in ended))
            self.names = {one: name for one, name in self.names.items() if one not in set(ended)}
            self._run(count)
        else:
            self._engine.told(*((what, [one], {}) for one in ended for what in ("stop", "start")))
        self.told += count * EVENTS_OF_A_RESTART

    # -- the register

    def register(self, *options: str) -> None:
        """Start the register, and do not wait for it."""
        registers = Registers(self._address, self._directory, self._name)
        self._stack.callback(registers.close)
        where = ["--docker", self._engine.address, "--ip", "10.0.0.1", "--ttl", "15", "--log-level", "warning"]
        self.part = registers.run(*where, *options)

    def metric(self, name: str) -> float:
        """Return one of the register's counters or gauges; 0 as long as it does not answer."""
        try:
            return self.part.metric(f"mooring_register_{name}")
        except AssertionError:
            return 0.0

    def cpu_seconds(self) -> float:
        """Return how long the register has used a processor."""
        fields = Path(f"/proc/{self.part.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS_PER_SECOND

    def memory_bytes(self) -> int:
        """Return how much memory the register has."""
        status = Path(f"/proc/{self.part.pid}/status").read_text()
        return next(int(line.split()[1]) << 10 for line in status.splitlines() if line.startswith("VmRSS:"))

    def settle(self, seconds: float = LONG_SECONDS) -> None:
        """Wait until what is written is what runs, and nothing else."""
        wait_until(self.seems_settled, self._missing, seconds, _LOOK_SECONDS)
        # Reading it all costs more than a look.
        wait_until(lambda: self.written() == self.names, self._missing, seconds, _LOOK_SECONDS * len(self.names) / 1000)

    def seems_settled(self) -> bool:
        """Return whether all events were heard and all that runs is wanted; it may be about to be written."""
        return self.metric("instances") == len(self.names) and self.heard() >= self.told

    def heard(self) -> float:
        """Return how many events the register has heard."""
        return self.metric("docker_events_total")

    def written(self) -> dict[str, str]:
        """Return the names of the containers that are written as up, by their ids; "" for one that is not up."""
        found = self.store.list(self.prefix).items
        instances = [decode_instance(one.value, where=one.key) for one in found]
        return {one.container: one.name.removeprefix("/") * (one.state is State.UP) for one in instances}

    def revision(self) -> int:
        """Return how far etcd has come; who writes nothing leaves it as it is."""
        return self.store.list("/nothing").revision

    def _missing(self) -> str:
        written = self.written()
        there = f"{len(written)} keys, {len(written.items() & self.names.items())} of them right"
        return (
            f"{len(self.names)} containers to be registered: {there}; {self.heard()} of {self.told} events were heard"
        )


def _running(name: str, number: int) -> Call:
    """Return a container as people run them: a published port, a few words, one in ten asks for another service."""
    wish = {"BACKEND_DB": "db[master];5432"} if number % BINDINGS_ARE_ONE_IN == 0 else {}
    labels = {"SERVICE_NAME": f"service-{number % _SERVICES}", "SERVICE_TAGS": "a,b", "SERVICE_REGION": "eu"}
    return "run", [name, "image"], {"ports": ["80/tcp"], "labels": labels, "environment": wish}
