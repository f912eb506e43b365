"""Registers as processes at one Consul agent, under a host name of a test's own."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.consul import ConsulServer
from tests.integration.registers import Registers


class ConsulHost(Registers):
    """An agent, a host's name, and a static file; registers are started on them and ended at the end."""

    def __init__(self, consul: ConsulServer, directory: Path, name: str) -> None:
        super().__init__(f"consul://{consul.address}", directory, name)
        self.consul = consul
        self.name = name

    def declare(self, *entries: Mapping[str, Any] | int) -> None:
        """Let the file list these instances; a number is the port of a plain one, of a service of the host's name."""
        plain = {"service": self.name}
        listed = [{**plain, "address": f"127.0.0.1:{one}"} if isinstance(one, int) else one for one in entries]
        self.write(yaml.safe_dump({"instances": listed}))

    def services(self) -> dict[str, Any]:
        """Return what the agent says of the host's services, by their ids, but for that of the register itself."""
        found: Any = self.consul.tell("GET", "/agent/services")
        return {
            one: service
            for one, service in found.items()
            if service["Meta"].get("mooring-host") == self.name and service["Service"] != "mooring-register"
        }

    def ports(self) -> set[int]:
        """Return the ports that are registered."""
        return {service["Port"] for service in self.services().values()}

    def checks(self, service_id: str) -> dict[str, str]:
        """Return how the checks of a service are, by their ids."""
        found: Any = self.consul.tell("GET", "/agent/checks")
        return {one: check["Status"] for one, check in found.items() if check["ServiceID"] == service_id}

    def passing(self, service: str = "") -> set[int]:
        """Return the ports that are handed out to whoever asks for a service, this host's own if not another."""
        found: Any = self.consul.tell("GET", f"/health/service/{service or self.name}?passing=true")
        return {one["Service"]["Port"] for one in found}

    def indexes(self) -> dict[str, int]:
        """Return at which index of the cluster each of the host's services was last written, checks included."""
        found: Any = self.consul.tell("GET", f"/health/service/{self.name}")
        written = {}
        for one in found:
            changed = [one["Service"]["ModifyIndex"], *(check["ModifyIndex"] for check in one["Checks"])]
            written[one["Service"]["ID"]] = max(changed)
        return written
