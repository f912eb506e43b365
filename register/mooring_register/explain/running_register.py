"""Asks a register that runs on this machine for its state, over its admin address. An edge: it only asks."""

from __future__ import annotations

import json
from http.client import HTTPException
from typing import Final
from urllib.request import ProxyHandler, build_opener

from mooring.model import Address
from mooring_register.explain.forms import RunningRegister

_TIMEOUT_SECONDS: Final = 2.0
# A proxy of the environment is for the world outside, and this is about this very machine.
_OPENER: Final = build_opener(ProxyHandler({}))


def ask_register(address: Address) -> RunningRegister:
    """Return what a register answers, or why nobody does."""
    try:
        with _OPENER.open(f"http://{address}/state", timeout=_TIMEOUT_SECONDS) as answer:
            state = json.load(answer)
    except (OSError, HTTPException, ValueError) as error:
        return RunningRegister(address=str(address), reason=str(getattr(error, "reason", error)))
    if not isinstance(state, dict):
        return RunningRegister(address=str(address), reason="what answers there is no register")
    return RunningRegister(address=str(address), state=state)
