"""Registers as processes at one Consul agent, under a host name of a test's own."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.consul import ConsulServer
from tests.parts import Part

TTL_SECONDS = 3


class ConsulHost:
    """An agent, a host's name, and a static file; registers are started on them and ended at the end.

    `scheme` is that of the registry's address, `query` what it ends in.
    """

    def __init__(self, consul: ConsulServer, directory: Path, name: str) -> None:
        self.consul = consul
        self.name = name
        self.directory = directory
        self.file = directory / "static.yaml"
        self.scheme = "consul"
        self.query = ""
        self.parts: list[Part] = []

    def declare(self, *entries: Mapping[str, Any] | int) -> None:
        """Let the file list these instances; a number is the port of a plain one, of a service of the host's name."""
        plain = {"service": self.name}
        listed = [{**plain, "address": f"127.0.0.1:{one}"} if isinstance(one, int) else one for one in entries]
        other = self.file.with_suffix(".new")
        other.write_text(yaml.safe_dump({"instances": listed}))
        other.rename(self.file)

    def register(self, *options: str) -> Part:
        """Start a register of the file."""
        return self.run("--static", str(self.file), *options)

    def run(self, *options: str) -> Part:
        """Start a register with these options."""
        registry = f"{self.scheme}://{self.consul.address}{self.query}"
        where = ["--registry", registry, "--host", self.name, "--ttl", str(TTL_SECONDS)]
        part = Part(
            self.directory / f"register-{len(self.parts) + 1}",
            "register",
            [*where, *options],
        )
        self.parts.append(part)
        part.launch()
        return part

    def close(self) -> None:
        """End whatever still runs."""
        for part in self.parts:
            part.kill()

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

    def logged(self) -> str:
        """Return what all registers have logged."""
        return "".join(part.log.read_text() for part in self.parts)
