"""The twin of a Docker engine in this process: the same answers and events, and no containers.

Held to `docker_engine.DockerEngine` by tests/contract/test_docker_engine.py. Containers do what they are told by the
methods after `events`; what a real engine may suffer is done to this one by `fail` and `recover`.
"""

from __future__ import annotations

import copy
import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from threading import Condition
from typing import Any, Final

from mooring.errors import Unavailable
from mooring_register.containers import Inspected
from mooring_register.draining import signal_number
from mooring_register.engine.seam import DockerEvent, Events, Identity, Summary, Unanswered

# As many as Docker keeps for those who ask for the past.
_KEPT_EVENTS: Final = 256
_FIRST_HOST_PORT: Final = 32768
_SIGNALLED: Final = 128
_NANOSECONDS: Final = 10**9


class MemoryEngine:
    """An `Engine` that holds everything in this process. Safe to use from several threads.

    `clock` gives epoch seconds.
    """

    def __init__(self, clock: Callable[[], float], *, engine_id: str = "MEMORY", host: str = "host1") -> None:
        self._clock = clock
        self._identity = (engine_id, host)
        self._changed = Condition()
        self._containers: dict[str, dict[str, Any]] = {}
        self._log: list[DockerEvent] = []
        self._numbers = itertools.count(1)
        self._host_ports = itertools.count(_FIRST_HOST_PORT)
        self._failure = ""
        self._stalled: set[str] = set()
        self._streams: list[_MemoryEvents] = []

    def identity(self) -> Identity:
        """See `Engine.identity`."""
        with self._changed:
            self._check()
            return Identity(*self._identity, self._clock())

    def running(self) -> tuple[Summary, ...]:
        """See `Engine.running`."""
        with self._changed:
            self._check()
            living = [one for one in self._containers.values() if one["State"]["Running"]]
            return tuple(
                Summary(one["Id"], repr((one["Name"], one["State"], one["NetworkSettings"])), one["Name"][1:])
                for one in living
            )

    def exited(self) -> Mapping[str, int]:
        """See `Engine.exited`."""
        with self._changed:
            self._check()
            ended = [one for one in self._containers.values() if not one["State"]["Running"]]
            return {one["Id"]: one["State"]["ExitCode"] for one in ended}

    def signals(self, since_nano: int, until_nano: int) -> tuple[DockerEvent, ...]:
        """See `Engine.signals`."""
        with self._changed:
            self._check()
            happened = self.happened(since_nano)
        return tuple(event for event in happened if event.action == "kill" and event.time_nano <= until_nano)

    def inspect(self, container_id: str) -> Inspected | None:
        """See `Engine.inspect`."""
        with self._changed:
            self._check()
            if container_id in self._stalled:
                raise Unanswered(f"no answer about {container_id}")
            return copy.deepcopy(self._containers.get(container_id))

    def events(self, since_nano: int) -> Events:
        """See `Engine.events`."""
        with self._changed:
            self._check()
            stream = _MemoryEvents(self._changed, self.happened(since_nano))
            self._streams.append(stream)
            return stream

    def happened(self, since_nano: int) -> tuple[DockerEvent, ...]:
        """Return the events since then as far as they are kept, without waiting for more."""
        with self._changed:
            return tuple(event for event in self._log if event.time_nano >= since_nano)

    # What containers do

    def run(
        self,
        name: str,
        image: str = "whoami",
        *,
        ports: tuple[str, ...] = (),
        labels: Mapping[str, str] | None = None,
        environment: Mapping[str, str] | None = None,
        has_healthcheck: bool = False,
    ) -> str:
        """Run a container that publishes these ports (`80/tcp`), each on a free port of the host; return its id."""
        with self._changed:
            number = next(self._numbers)
            container_id = f"{number:064x}"
            self._containers[container_id] = {
                "Id": container_id,
                "Name": f"/{name}",
                "Config": {
                    "Image": image,
                    "Labels": dict(labels or {}),
                    "Env": [f"{key}={value}" for key, value in (environment or {}).items()],
                    "ExposedPorts": {port: {} for port in ports},
                },
                "HostConfig": {"NetworkMode": "default", "PortBindings": {port: [{}] for port in ports}},
                "State": {"Running": False, "Health": {"Status": "starting"} if has_healthcheck else None},
                "NetworkSettings": {"Ports": {}, "Networks": {"bridge": {"IPAddress": f"172.17.0.{number + 1}"}}},
            }
            self._start(container_id)
            return container_id

    def start(self, container_id: str) -> None:
        """Start a container that ended; its host ports are other ones than before."""
        with self._changed:
            self._start(container_id)

    def kill(self, container_id: str, signal: str = "SIGKILL", *, survives: bool = False) -> None:
        """Send a signal, of which the container dies unless it survives."""
        number = signal_number(signal) or 0
        with self._changed:
            self._emit("kill", container_id, signal=str(number))
            if not survives:
                self._die(container_id, _SIGNALLED + number)

    def stop(self, container_id: str) -> None:
        """Stop a container as `docker stop` does; it ends by itself."""
        with self._changed:
            self._emit("kill", container_id, signal="15")
            self._die(container_id, 0)
            self._emit("stop", container_id)

    def crash(self, container_id: str, exit_code: int) -> None:
        """Let a container end by itself: nobody sent it a signal."""
        with self._changed:
            self._die(container_id, exit_code)

    def pause(self, container_id: str) -> None:
        """Freeze a container."""
        self._change(container_id, "pause", Paused=True)

    def unpause(self, container_id: str) -> None:
        """Let it go on."""
        self._change(container_id, "unpause", Paused=False)

    def become(self, container_id: str, health: str) -> None:
        """Let the container's check find that it is `healthy` or `unhealthy`."""
        self._change(container_id, f"health_status: {health}", Health={"Status": health})

    def rename(self, container_id: str, name: str) -> None:
        """Give a container another name."""
        with self._changed:
            old = self._containers[container_id]["Name"]
            self._containers[container_id]["Name"] = f"/{name}"
            self._emit("rename", container_id, oldName=old)

    def remove(self, container_id: str) -> None:
        """Remove a container, dead or alive."""
        with self._changed:
            if self._containers[container_id]["State"]["Running"]:
                self._emit("kill", container_id, signal="9")
                self._die(container_id, _SIGNALLED + 9)
            del self._containers[container_id]
            self._emit("destroy", container_id)

    def connect(self, container_id: str, network: str, address: str) -> None:
        """Give a container an address in one more network."""
        with self._changed:
            self._networks(container_id)[network] = {"IPAddress": address}
            self._emit("connect", container_id)

    def disconnect(self, container_id: str, network: str) -> None:
        """Take a container out of a network."""
        with self._changed:
            if self._networks(container_id).pop(network, None):
                self._emit("disconnect", container_id)

    def publish(self, container_id: str, *, pending: bool) -> None:
        """Take the host ports of a container away, as if they were not filled in yet, or fill them in. No event."""
        with self._changed:
            settings = self._containers[container_id]["NetworkSettings"]
            settings["Ports"] = {} if pending else self._published(container_id)

    # What happens to an engine

    def fail(self, reason: str = "connection refused") -> None:
        """Be out of reach until `recover`; streams of events end, and what happens meanwhile is told to nobody."""
        with self._changed:
            self._failure = reason
            self._log.clear()
        self.cut()

    def recover(self) -> None:
        """Be within reach again."""
        with self._changed:
            self._failure = ""

    def cut(self) -> None:
        """End the streams of events, as a proxy does with those that are idle; nothing else happens."""
        with self._changed:
            streams, self._streams = self._streams, []
        for stream in streams:
            stream.close()

    def stall(self, container_id: str, *, stalled: bool = True) -> None:
        """Give no answer any more about a container, or give answers again."""
        with self._changed:
            (self._stalled.add if stalled else self._stalled.discard)(container_id)

    # Below, the condition variable is held.

    def _check(self) -> None:
        if self._failure:
            raise Unavailable(self._failure)

    def _start(self, container_id: str) -> None:
        container = self._containers[container_id]
        self._emit("connect", container_id)
        started = datetime.fromtimestamp(self._clock(), UTC).isoformat().replace("+00:00", "Z")
        container["State"] |= {"Running": True, "Paused": False, "ExitCode": 0, "StartedAt": started}
        container["NetworkSettings"]["Ports"] = self._published(container_id)
        self._emit("start", container_id)

    def _networks(self, container_id: str) -> dict[str, dict[str, str]]:
        networks: dict[str, dict[str, str]] = self._containers[container_id]["NetworkSettings"]["Networks"]
        return networks

    def _published(self, container_id: str) -> dict[str, list[dict[str, str]]]:
        wanted = self._containers[container_id]["HostConfig"]["PortBindings"]
        return {port: [{"HostIp": "0.0.0.0", "HostPort": str(next(self._host_ports))}] for port in wanted}  # noqa: S104 -- as Docker says it

    def _die(self, container_id: str, exit_code: int) -> None:
        container = self._containers[container_id]
        container["State"] |= {"Running": False, "Paused": False, "ExitCode": exit_code}
        container["NetworkSettings"]["Ports"] = {}
        self._emit("die", container_id, exitCode=str(exit_code))
        self._emit("disconnect", container_id)

    def _change(self, container_id: str, action: str, **state: Any) -> None:  # noqa: ANN401 -- fields of Docker's JSON
        with self._changed:
            self._containers[container_id]["State"] |= state
            self._emit(action, container_id)

    def _emit(self, action: str, container_id: str, **attributes: str) -> None:
        if self._failure:
            return
        # Never the same moment twice, as a real engine's nanoseconds.
        at = max(int(self._clock() * _NANOSECONDS), self._log[-1].time_nano + 1 if self._log else 0)
        event = DockerEvent(action, container_id, at, attributes)
        self._log.append(event)
        del self._log[:-_KEPT_EVENTS]
        for stream in self._streams:
            stream.tell(event)


class _MemoryEvents:
    """The events of one connection."""

    def __init__(self, changed: Condition, replayed: Iterable[DockerEvent]) -> None:
        self._changed = changed
        self._waiting = deque(replayed)
        self._closed = False

    def __iter__(self) -> Iterator[DockerEvent]:
        """See `Events`."""
        while (event := self._next()) is not None:
            yield event

    def tell(self, event: DockerEvent) -> None:
        """Pass an event on; the engine's lock is held."""
        self._waiting.append(event)
        self._changed.notify_all()

    def close(self) -> None:
        """See `Events.close`."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _next(self) -> DockerEvent | None:
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._waiting)
            return None if self._closed else self._waiting.popleft()
