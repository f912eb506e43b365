"""The parts of the pipeline as commands: who runs, in which order, and how each says that it is ready.

It starts nothing itself, and names every address once: `Places`.
"""

from __future__ import annotations

import http.client
import json
import platform
import sys
from collections.abc import Callable, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

from attrs import frozen

from mooring_stack.embedded import Program, etcd_answers, etcd_command, redis_answers, redis_command
from mooring_stack.ports import LOOPBACK, Ports

PROXY_HOSTS: Final = ("127.0.0.1", "127.0.0.2")
_ANSWER_SECONDS: Final = 1.0


@frozen(kw_only=True)
class Places:
    """Where everything of one demo is: a directory, and ports on loopback."""

    home: Path
    etcd: int
    etcd_peer: int
    redis: int
    register: int
    discover: int
    proxies: Mapping[str, int]
    published: int

    @property
    def instances_file(self) -> Path:
        """The file that register watches."""
        return self.home / "instances.yaml"

    @property
    def redis_url(self) -> str:
        """The address of the stream."""
        return f"redis://{LOOPBACK}:{self.redis}/0"


@frozen
class Part:
    """One program of the pipeline; `ready` asks it, once, whether it does its work."""

    name: str
    command: tuple[str, ...]
    ready: Callable[[], bool]
    where: str


def places(home: Path, ports: Ports) -> Places:
    """Choose the ports; the published one is free on the addresses of both proxies.

    Raises:
        OSError: this machine has no second loopback address (127.0.0.2), or no port is free.
    """
    return Places(
        home=home,
        etcd=ports.hold(),
        etcd_peer=ports.hold(),
        redis=ports.hold(),
        register=ports.hold(),
        discover=ports.hold(),
        proxies={host: ports.hold() for host in PROXY_HOSTS},
        published=ports.hold(*PROXY_HOSTS),
    )


def servers(at: Places, etcd: Program, redis: Program) -> tuple[Part, ...]:
    """Return the two servers that the parts stand on."""
    etcd_run = etcd_command(etcd, at.home / "etcd", at.etcd, at.etcd_peer)
    redis_run = redis_command(redis, at.home, at.redis)
    return (
        Part("etcd", tuple(etcd_run), lambda: etcd_answers(at.etcd), f"{LOOPBACK}:{at.etcd}  ({etcd.version})"),
        Part("redis", tuple(redis_run), lambda: redis_answers(at.redis), f"{LOOPBACK}:{at.redis}  ({redis.version})"),
    )


def parts(at: Places) -> tuple[Part, ...]:
    """Return Mooring's own parts, in the order in which each stands on those before it."""
    registry = f"etcd://{LOOPBACK}:{at.etcd}/services"
    register = ("--registry", registry, "--static", str(at.instances_file), "--host", "demo", "--ip", LOOPBACK)
    # A demo begins with nothing, which discover believes only after having held its breath.
    discover = ("--source", registry, "--redis", at.redis_url, "--hold-seconds", "1")
    return (
        _part("register", "register", register, at.register, f"writes {at.instances_file} to etcd"),
        _part("discover", "discover", discover, at.discover, "etcd to the stream mooring:events"),
        *(_proxy(number, host, at) for number, host in enumerate(at.proxies, start=1)),
    )


def environment(inherited: Mapping[str, str]) -> dict[str, str]:
    """Return the children's environment: ours without settings for etcd and for Mooring's commands."""
    kept = {name: value for name, value in inherited.items() if not name.startswith(("ETCD_", "MOORING_"))}
    # etcd 3.4 starts on 64-bit ARM only if told that nobody supports it there.
    return {**kept, "ETCD_UNSUPPORTED_ARCH": "arm64"} if platform.machine() == "aarch64" else kept


def state(admin_port: int) -> dict[str, Any]:
    """Return what a part says about itself (`/state`); empty when it does not answer."""
    status, body = _get(admin_port, "/state")
    return dict(json.loads(body)) if status == HTTPStatus.OK else {}


def what_to_try(at: Places, processes: Mapping[str, int]) -> tuple[str, ...]:
    """Return the lines that invite to play; `processes` maps an instance's name to its process id."""
    name, pid = next(iter(processes.items()))
    proxy = at.proxies[PROXY_HOSTS[0]]
    return (
        *(f"curl http://{host}:{at.published}/" for host in at.proxies),
        f"redis-cli -p {at.redis} XREVRANGE mooring:events + - COUNT 5",
        f"etcdctl --endpoints {LOOPBACK}:{at.etcd} get --prefix /services/",
        f"curl http://{LOOPBACK}:{proxy}/state",
        f"kill -9 {pid}    # {name}; the demo then takes it off the list, as a check would",
        f"$EDITOR {at.instances_file}",
    )


def _proxy(number: int, host: str, at: Places) -> Part:
    options = ("--redis", at.redis_url, "--publish", "auto", "--address", host, "--drain-seconds", "1")
    return _part(f"proxy-{number}", "proxy", options, at.proxies[host], f"the stream to listeners on {host}")


def _part(name: str, command: str, options: tuple[str, ...], admin: int, where: str) -> Part:
    program = str(Path(sys.executable).with_name("mooring"))
    run = (program, command, *options, "--admin", f"{LOOPBACK}:{admin}")
    return Part(name, run, lambda: _get(admin, "/readyz")[0] == HTTPStatus.OK, where)


def _get(port: int, path: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=_ANSWER_SECONDS)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read()
    except (OSError, http.client.HTTPException):
        return 0, b""
    finally:
        connection.close()
