"""How a consumer writes down one wish: `NAME[TAG,TAG];PORT/PROTO;KEY=VALUE`. Pure.

Both of embassy's grammars are read, the historic one with tags and protocol, and the current one without. `NAME` is
whatever a listener of a proxy may name: a service, a path, or a pattern of either (see `mooring.selector`).

No reason that is given here repeats a text that was read: a variable that only happens to bear the prefix may hold a
password.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from attrs import field, frozen

from mooring.errors import BindingError
from mooring.keys import NAME_MOST_BYTES
from mooring.model import parse_port
from mooring.selector import Selector, parse_selector

# Far more than anybody asks for, and far less than an etcd takes at once.
WISH_MOST_BYTES: Final = 16_384

_PROTOCOLS: Final = ("tcp", "udp")


@frozen
class Wish:
    """What one variable asks for: "my port `port` is what `selector` selects"."""

    selector: Selector
    port: int
    proto: str = "tcp"
    options: Mapping[str, str] = field(factory=dict)


def parse_wish(where: str, text: str) -> Wish:
    """Read the value of one variable; `where` names it in the error.

    Raises:
        BindingError: it is none, with the part that is wrong and why.
    """
    if not text.isprintable():
        raise BindingError(where, "has a character that cannot be printed")
    if len(text.encode()) > WISH_MOST_BYTES:
        raise BindingError(where, f"is over {WISH_MOST_BYTES} bytes long")
    name, *sections = text.split(";")
    if not sections:
        raise BindingError(where, "expected NAME;PORT, there is no ';'")
    port, proto = _port(where, sections[0])
    return Wish(_selector(where, name), port, proto, _options(where, sections[1:]))


def _selector(where: str, name: str) -> Selector:
    if not name:
        raise BindingError(where, "the name before the first ';' is empty")
    if len(name.encode()) > NAME_MOST_BYTES:
        raise BindingError(where, f"the name before the first ';' is over {NAME_MOST_BYTES} bytes long")
    try:
        return parse_selector(name)
    except ValueError:
        reason = "the name before the first ';' is neither SERVICE nor SERVICE[tag,tag]"
        raise BindingError(where, reason) from None


def _port(where: str, section: str) -> tuple[int, str]:
    port, has_proto, proto = section.partition("/")
    if has_proto and proto not in _PROTOCOLS:
        raise BindingError(where, "the protocol after the port is neither tcp nor udp")
    try:
        return parse_port(port), proto or "tcp"
    except ValueError:
        raise BindingError(where, "after the first ';' expected a port within 1–65535") from None


def _options(where: str, sections: list[str]) -> dict[str, str]:
    """Return the options; one without `=` is a word without a value, and a ';' too many is forgiven."""
    options: dict[str, str] = {}
    for section in filter(None, sections):
        key, _, value = section.partition("=")
        if not key:
            raise BindingError(where, "an option has no name before its '='")
        options[key] = value
    return options
