"""From what a container says of its health (`SERVICE_CHECK_*`) to the one check that its Consul agent makes. Pure.

One check for each instance, by registrator's order: http, https, cmd, script, ttl, tcp, grpc. It has the id that Consul
itself gives to a service's only check, so that who reports for a TTL finds it there.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping
from typing import Final

from mooring.consul.agent import Check, Grpc, Http, Probe, Script, Status, Tcp, Ttl
from mooring.errors import DescriptorError
from mooring.model import Instance

_DEFAULT_INTERVAL: Final = "10s"
# Docker's short form of a container's id.
_SHORT_ID: Final = 12
_SECONDS: Final = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_PART = re.compile(r"([0-9.]+)(ns|us|µs|ms|s|m|h)")
_HTTP_PATH = re.compile(r"[^\s#\x00-\x1f\x7f]+")
_FALSE: Final = frozenset({"0", "false", "no", "off"})
_INITIAL: Final[Mapping[str, Status]] = {"passing": "passing", "warning": "warning", "critical": "critical"}


def check_id(instance: Instance) -> str:
    """Return the id of an instance's own check."""
    return f"service:{instance.id}"


def check_of(instance: Instance) -> Check | None:
    """Return what the agent is to check; None when nothing was asked for, or nothing that UDP can answer.

    Raises:
        DescriptorError: something was asked for that cannot be done; there is no check then.
    """
    kind = next((word for word in _PROBES if _is_asked_for(instance, word)), None)
    if kind is None or (kind in _OVER_TCP and instance.address.proto != "tcp"):
        return None
    try:
        probe = _PROBES[kind](instance)
        initial = _initial(instance.checks.get("initial_status", "critical"))
    except ValueError as error:
        raise DescriptorError(_where(instance, kind), f"{error}: there is no check") from None
    return Check(
        id=check_id(instance),
        name=f"Service {instance.service!r} check",
        probe=probe,
        initial=initial,
        deregister_after_seconds=_seconds(instance, "deregister_after") or None,
    )


def duration_seconds(text: str) -> float:
    """Return how long a duration such as `1m30s` lasts, as Go writes them and `words` has let them pass."""
    return sum(float(number) * _SECONDS[unit] for number, unit in _PART.findall(text))


def _where(instance: Instance, word: str) -> str:
    return f"{instance.name.removeprefix('/') or instance.id}: SERVICE_CHECK_{word.upper()}"


def _seconds(instance: Instance, word: str) -> float | None:
    text = instance.checks.get(word)
    return duration_seconds(text) if text else None


def _interval_seconds(instance: Instance) -> float:
    seconds = duration_seconds(instance.checks.get("interval", _DEFAULT_INTERVAL))
    # Consul refuses the whole service for it.
    return seconds if seconds > 0 else duration_seconds(_DEFAULT_INTERVAL)


def _initial(text: str) -> Status:
    if text not in _INITIAL:
        message = f"SERVICE_CHECK_INITIAL_STATUS={text!r} is none of {', '.join(_INITIAL)}"
        raise ValueError(message)
    return _INITIAL[text]


def _is_asked_for(instance: Instance, word: str) -> bool:
    return _is_said(instance, word) if word in _YES_OR_NO else bool(instance.checks.get(word))


def _is_said(instance: Instance, word: str) -> bool:
    return instance.checks.get(word, "false").lower() not in _FALSE


def _http(instance: Instance, scheme: str) -> Http:
    path = instance.checks[scheme]
    if _HTTP_PATH.fullmatch(path) is None:
        message = f"expected a path, got {path!r}"
        raise ValueError(message)
    return Http(
        url=f"{scheme}://{instance.address}/{path.removeprefix('/')}",
        interval_seconds=_interval_seconds(instance),
        timeout_seconds=_seconds(instance, "timeout"),
        method=instance.checks.get(f"{scheme}_method", "GET").upper(),
        skips_verification=_is_said(instance, "tls_skip_verify"),
    )


def _command(instance: Instance) -> Script:
    if not instance.container:
        raise ValueError("it is run in a container, and this is none")
    port = str(instance.port or instance.address.port)
    arguments = ("check-cmd", instance.container[:_SHORT_ID], port, instance.checks["cmd"])
    return Script(arguments, _interval_seconds(instance), _seconds(instance, "timeout"))


def _script(instance: Instance) -> Script:
    script = instance.checks["script"]
    try:
        words = shlex.split(script)
    except ValueError as error:
        message = f"{script!r} cannot be split into words: {str(error).lower()}"
        raise ValueError(message) from None
    if not words:
        raise ValueError("it is blank")
    place = {"$SERVICE_IP": instance.address.host, "$SERVICE_PORT": str(instance.address.port)}
    for name, value in place.items():
        words = [word.replace(name, value) for word in words]
    return Script(tuple(words), _interval_seconds(instance), _seconds(instance, "timeout"))


def _ttl(instance: Instance) -> Ttl:
    seconds = duration_seconds(instance.checks["ttl"])
    if seconds <= 0:
        raise ValueError("expected a duration above 0")
    return Ttl(seconds)


def _tcp(instance: Instance) -> Tcp:
    return Tcp(str(instance.address), _interval_seconds(instance), _seconds(instance, "timeout"))


def _grpc(instance: Instance) -> Grpc:
    return Grpc(
        str(instance.address),
        _interval_seconds(instance),
        _seconds(instance, "timeout"),
        uses_tls=_is_said(instance, "grpc_use_tls"),
        skips_verification=_is_said(instance, "tls_skip_verify"),
    )


# In the order in which they win.
_PROBES: Final[Mapping[str, Callable[[Instance], Probe]]] = {
    "http": lambda instance: _http(instance, "http"),
    "https": lambda instance: _http(instance, "https"),
    "cmd": _command,
    "script": _script,
    "ttl": _ttl,
    "tcp": _tcp,
    "grpc": _grpc,
}
# Whose values are only a yes or no; of the others each value means something.
_YES_OR_NO: Final = frozenset({"tcp", "grpc"})
_OVER_TCP: Final = frozenset({"http", "https", "tcp", "grpc"})
