"""What an agent is told and what it answers, as JSON and as values. Pure.

What reads raises AttributeError, KeyError, TypeError or ValueError for what is no answer of a Consul.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, assert_never

from mooring.consul.agent import (
    AgentIdentity,
    Alias,
    Check,
    CheckState,
    Grpc,
    Http,
    Probe,
    Script,
    Service,
    Status,
    Tcp,
    Ttl,
)
from mooring.consul.keys import KeyValue

Document = dict[str, Any]
# What a call of the library returns.
Answer = Any

_STATUSES: Final[Mapping[str, Status]] = {"passing": "passing", "warning": "warning", "critical": "critical"}


def service_document(service: Service, checks: Sequence[Check]) -> Document:
    """Return what registers a service with these checks."""
    return {
        "ID": service.id,
        "Name": service.name,
        "Address": service.address,
        "Port": service.port,
        "Tags": list(service.tags),
        "Meta": dict(service.meta),
        "EnableTagOverride": service.is_retagged,
        "Weights": {"Passing": service.passing_weight, "Warning": service.warning_weight},
        # Here an id is called so, and where a check is registered on its own otherwise; the wrong name is refused.
        "Checks": [{"CheckID": check.id, **_definition(check)} for check in checks],
    }


def check_document(check: Check, service_id: str) -> Document:
    """Return what registers a check on its own, for a service or (empty) for the node."""
    return {"ID": check.id, "ServiceID": service_id, **_definition(check)}


def read_identity(answer: Answer) -> AgentIdentity:
    """Read what an agent says of itself."""
    config = answer["Config"]
    return AgentIdentity(config["NodeName"], config["Datacenter"], config["Version"])


def read_services(answer: Answer) -> Mapping[str, Service]:
    """Read what an agent says of its services, by id."""
    return {service_id: _service(document) for service_id, document in answer.items()}


def read_checks(answer: Answer) -> Mapping[str, CheckState]:
    """Read what an agent says of its checks, by id."""
    return {check_id: _check(document) for check_id, document in answer.items()}


def read_keys(answer: Answer) -> tuple[KeyValue, ...]:
    """Read keys and values, which the library has decoded already."""
    _, documents = answer
    return tuple(
        KeyValue(one["Key"], one["Value"] or b"", one["ModifyIndex"], one.get("Session", "")) for one in documents or ()
    )


def read_truth(answer: Answer) -> bool:
    """Read whether something was done."""
    if not isinstance(answer, bool):
        message = f"expected true or false, got {answer!r}"
        raise TypeError(message)
    return answer


def read_session(answer: Answer) -> str:
    """Read the id of a session."""
    if not isinstance(answer, str):
        message = f"expected the id of a session, got {answer!r}"
        raise TypeError(message)
    return answer


def _service(document: Mapping[str, Any]) -> Service:
    weights = document.get("Weights") or {}
    return Service(
        id=document["ID"],
        name=document["Service"],
        address=document.get("Address", ""),
        port=document.get("Port", 0),
        tags=tuple(document.get("Tags") or ()),
        meta=dict(document.get("Meta") or {}),
        is_retagged=document.get("EnableTagOverride", False),
        passing_weight=weights.get("Passing", 1),
        warning_weight=weights.get("Warning", 1),
    )


def _check(document: Mapping[str, Any]) -> CheckState:
    return CheckState(
        id=document["CheckID"],
        name=document.get("Name", ""),
        # A later version's status that we do not know is not good enough to be relied on.
        status=_STATUSES.get(document.get("Status", ""), "critical"),
        service_id=document.get("ServiceID", ""),
        notes=document.get("Notes", ""),
        output=document.get("Output", ""),
    )


def _definition(check: Check) -> Document:
    # An earlier Consul refuses a field that it does not know: what is not asked for is not mentioned.
    more: Document = {}
    if check.deregister_after_seconds is not None:
        more["DeregisterCriticalServiceAfter"] = _duration(check.deregister_after_seconds)
    return {"Name": check.name, "Notes": check.notes, "Status": check.initial, **_probe(check.probe), **more}


def _probe(probe: Probe) -> Document:
    match probe:
        case Http():
            return {"HTTP": probe.url, "Method": probe.method, **_verification(probe)}
        case Tcp():
            return {"TCP": probe.address, **_times(probe)}
        case Ttl():
            return {"TTL": _duration(probe.seconds)}
        case Script():
            return {"Args": list(probe.arguments), **_times(probe)}
        case Grpc():
            return {"GRPC": probe.target, "GRPCUseTLS": probe.uses_tls, **_verification(probe)}
        case Alias():
            return {"AliasService": probe.service_id}
        case _:
            assert_never(probe)


def _verification(probe: Http | Grpc) -> Document:
    return {"TLSSkipVerify": probe.skips_verification, **_times(probe)}


def _times(probe: Http | Tcp | Script | Grpc) -> Document:
    timeout = {} if probe.timeout_seconds is None else {"Timeout": _duration(probe.timeout_seconds)}
    return {"Interval": _duration(probe.interval_seconds), **timeout}


def _duration(seconds: float) -> str:
    """Write a time as Go reads it."""
    return f"{round(seconds * 1000)}ms"
