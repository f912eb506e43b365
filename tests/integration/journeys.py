"""Registers that take some way to this machine's engine, with variables of their own, and containers that they find."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.integration.docker_hosts import Containers
from tests.integration.registers import PATIENT, Site
from tests.parts import Part
from tests.servers import EtcdServer


class Journey(Containers):
    """A register on its way, and containers of this test."""

    def register(self, options: list[str], variables: Mapping[str, str]) -> Part:
        """Start a register."""
        return self.site.run("--ip", "127.0.0.1", *PATIENT, *options, variables=variables)


@contextmanager
def begun(etcd: EtcdServer, directory: Path, namespace: str, image: str) -> Iterator[Journey]:
    """Give a registry, and a way to run registers and containers; all of them end."""
    with ExitStack() as ending:
        site = Site(etcd, directory, namespace)
        ending.callback(site.close)
        one = Journey(site, image)
        ending.callback(one.close)
        yield one
