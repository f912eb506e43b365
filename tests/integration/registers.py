"""Registers as processes, at one etcd and one prefix of a test."""

import itertools
import threading
from collections.abc import Mapping
from pathlib import Path

import yaml

from mooring.documents import decode_instance
from mooring.etcd.address import parse_etcd_address
from mooring.etcd.client import connect_to
from mooring.etcd.store import KeyValue, Store
from mooring.model import Instance, State
from tests.parts import Part
from tests.servers import EtcdServer
from tests.waiting import wait_until

TTL_SECONDS = 3
GONE_SECONDS = 45.0
# Of one that has a successor: longer than a busy machine takes to start that, yet its end can be waited for.
INHERITED_SECONDS = 8
INHERITED = ("--ttl", str(INHERITED_SECONDS))
# Of one whose end nobody waits for.
PATIENT = ("--ttl", "60")


class Registers:
    """Registers at one registry's address, under one host's name, of one static file; all end at the end."""

    def __init__(self, address: str, directory: Path, host: str) -> None:
        self.address = address
        self.host = host
        self.directory = directory
        self.file = directory / "static.yaml"
        self.parts: list[Part] = []

    def declare(self, *ports: int) -> None:
        """Let the file list an instance of `web` on each of these ports."""
        entries = [{"service": "web", "address": f"127.0.0.1:{port}"} for port in ports]
        self.write(yaml.safe_dump({"instances": entries}))

    def write(self, text: str) -> None:
        """Put another file in the place of this one, at once."""
        other = self.file.with_suffix(".new")
        other.write_text(text)
        other.rename(self.file)

    def register(self, *options: str, host: str = "") -> Part:
        """Start a register of the file."""
        return self.run("--static", str(self.file), *options, host=host)

    def run(self, *options: str, host: str = "", variables: Mapping[str, str] | None = None) -> Part:
        """Start a register with these options, and these variables in its environment."""
        where = ["--registry", self.address, "--host", host or self.host, "--ttl", str(TTL_SECONDS)]
        part = Part(self.directory / f"register-{len(self.parts) + 1}", "register", [*where, *options], variables)
        self.parts.append(part)
        part.launch()
        return part

    def close(self) -> None:
        """End whatever still runs."""
        for part in self.parts:
            part.kill()

    def await_renewals_past_its_end(self, part: Part) -> None:
        """Wait until what was INHERITED would have ended, had this register not renewed it."""
        # Every third of it, beginning at once.
        wait_until(
            lambda: part.metric("mooring_register_keep_alives_total") > 4,
            "what was inherited to be renewed past its end",
            4.0 * INHERITED_SECONDS,
        )

    def logged(self) -> str:
        """Return what all registers have logged."""
        return "".join(part.log.read_text() for part in self.parts)


class Site(Registers):
    """An etcd, a prefix in it, and registers that write there."""

    def __init__(self, etcd: EtcdServer, directory: Path, namespace: str) -> None:
        super().__init__(f"etcd://127.0.0.1:{etcd.port}/{namespace}", directory, namespace)
        self.prefix = f"/{namespace}"
        self.store: Store = connect_to(parse_etcd_address(self.address))

    def close(self) -> None:
        """End whatever still runs."""
        super().close()
        self.store.close()

    def keys(self) -> dict[str, KeyValue]:
        """Return what is written below the prefix."""
        return {found.key: found for found in self.store.list(f"{self.prefix}/").items}

    def ports(self) -> set[int]:
        """Return the ports of the instances that are written."""
        return {one.address.port for one in self.instances()}

    def instances(self) -> list[Instance]:
        """Return the instances that are written."""
        return [decode_instance(found.value, where=found.key) for found in self.keys().values()]

    def told(self, name: str, since: int) -> list[tuple[State, str]]:
        """Return what was written of a container after a revision, until it was gone; fail if it never is."""
        told: list[tuple[State, str]] = []
        keys = set()
        watch = self.store.watch(self.prefix, since)
        deadline = threading.Timer(GONE_SECONDS, watch.cancel)
        deadline.start()
        try:
            for change in itertools.chain.from_iterable(watch):
                if isinstance(change, KeyValue):
                    one = decode_instance(change.value, where=change.key)
                    if one.name == f"/{name}":
                        told.append((one.state, one.cause))
                        keys.add(change.key)
                elif change.key in keys and told[-1][0] is State.DOWN:
                    return told
        finally:
            deadline.cancel()
            watch.cancel()
        raise AssertionError(f"{name} is not gone after {GONE_SECONDS} s: {told}")
