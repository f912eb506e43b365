"""An explanation as text for people and as JSON for machines. Pure.

What strangers wrote is made harmless for a terminal.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import attrs
from attrs import frozen

from mooring.tables import Columns, duration, harmless
from mooring_register.explain.explanation import BindingExplained, Explanation, PortRegistered, shortened
from mooring_register.labels.word_sources import Word

_TITLES: Final = ("", "", "")


@frozen(kw_only=True)
class RunningRegister:
    """What a register that runs answered on its admin address; without an answer, why not."""

    address: str
    state: Mapping[str, Any] | None = None
    reason: str = ""

    def draining_seconds(self, container: str) -> float | None:
        """Return for how long it believes at most that a container is about to end; None when it does not."""
        seconds = ((self.state or {}).get("draining seconds") or {}).get(container)
        return float(seconds) if isinstance(seconds, (int, float)) else None

    def wants(self, one: PortRegistered) -> str | None:
        """Return in which state it wants this to be registered; None when it does not."""
        begins = f"{one.service} {one.id} {one.address} "
        lines: Sequence[str] = (self.state or {}).get("instances") or ()
        return next((line.removeprefix(begins) for line in lines if line.startswith(begins)), None)


@frozen(kw_only=True)
class Report:
    """Everything that is explained at once. `ip_from` says why the host has that address."""

    host: str
    ip: str
    ip_from: str
    register: RunningRegister
    containers: tuple[Explanation, ...] = ()
    unknown: tuple[str, ...] = ()


def json_text(report: Report) -> str:
    """Return everything as one JSON object."""
    return json.dumps(_document(report), indent=2, ensure_ascii=False)


def _document(report: Report) -> dict[str, object]:
    register = report.register
    containers = [
        {**attrs.asdict(one), "in_register": {port.id: register.wants(port) for port in one.registered}}
        for one in report.containers
    ]
    return {
        "host": report.host,
        "ip": report.ip,
        "ip_from": report.ip_from,
        "register": {
            "address": register.address,
            "answers": register.state is not None,
            "reason": register.reason,
            "registries": list((register.state or {}).get("registries") or ()),
        },
        "containers": containers,
        "unknown": list(report.unknown),
    }


def text(report: Report) -> str:
    """Return everything as paragraphs: who registers, then each container."""
    parts = [[*_host(report)], *([*_container(shortened(one), report.register)] for one in report.containers)]
    parts += [[*report.unknown]] if report.unknown else []
    return "\n\n".join("\n".join(harmless(line) for line in part) for part in parts)


def _host(report: Report) -> Iterator[str]:
    yield f"host {report.host}, {f'at {report.ip} ({report.ip_from})' if report.ip else report.ip_from}"
    register = report.register
    if register.state is None:
        yield f"no register answers on {register.address} ({register.reason}): this is what one would do"
        return
    yield f"the register on {register.address} answers{_last_listed(register.state)}"
    for registry in register.state.get("registries") or ():
        yield f"  {registry.get('registry')}: {'; '.join(_standing(registry))}"


def _last_listed(state: Mapping[str, Any]) -> str:
    age = state.get("listed seconds ago")
    if state.get("engine problem"):
        return f", but the engine does not answer it: {state['engine problem']}"
    return f", everything was listed {duration(age)} ago" if isinstance(age, (int, float)) else ""


def _standing(registry: Mapping[str, Any]) -> Iterator[str]:
    yield "holds the host" if registry.get("holds the host") else "does not hold the host"
    for problem in ("problem", "keep-alive problem"):
        if registry.get(problem):
            yield str(registry[problem])
    behind = registry.get("undelivered seconds")
    if isinstance(behind, (int, float)):
        yield f"not everything is written, for {duration(behind)}" if behind else "everything is written"
    yield from (f"conflict: {one}" for one in registry.get("conflicts") or ())
    yield from (f"left out: {one}" for one in registry.get("left out") or ())


def _container(one: Explanation, register: RunningRegister) -> Iterator[str]:
    health = f", {one.health}" if one.health else ""
    yield f"{one.name}  {one.id}  {one.image}  {one.state}{health}"
    yield f"  network: {one.network}"
    if one.against:
        yield f"  not registered now: {one.against}"
    if (seconds := register.draining_seconds(one.name)) is not None:
        yield f"  draining: it was told to end; still running in {duration(seconds)} it is up again"
    for port in one.registered:
        yield f"  {port.port} {_verdict(port, one, register)} as {port.service}"
        yield from _words(port.words)
    for left in one.left_out:
        yield f"  {' '.join(filter(None, (left.port, 'not registered:')))} {left.rule}"
        yield from _words(left.words)
    yield from map(_binding, one.bindings)
    yield from (f"  problem: {each.where}: {each.reason}" for each in one.problems)
    yield from (f"  note: {each}" for each in one.notes)
    yield from (f"  perhaps: {each}" for each in one.guesses)


def _verdict(port: PortRegistered, one: Explanation, register: RunningRegister) -> str:
    if (wanted := register.wants(port)) is not None:
        return f"registered ({wanted})"
    if one.against or register.state is None:
        return "would be registered"
    return "unknown to the register that runs, would be registered"


def _words(words: Iterable[Word]) -> list[str]:
    rows = [(one.word, one.value, f"({one.source})" if one.source else "") for one in words]
    return [f"      {line}" for line in Columns(_TITLES).lines(rows) if line]


def _binding(one: BindingExplained) -> str:
    if not one.wish:
        return f"  {one.source} {one.name}: no binding: {one.rule}"
    where = f"from {', '.join(one.addresses)}" if one.addresses else f"no binding: {one.rule or 'it does not run'}"
    return f"  {one.source} {one.name}: {one.wish}, {where}"
