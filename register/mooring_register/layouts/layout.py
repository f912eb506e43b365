"""What a layout is: from instances to keys and values, and back as far as the values say. Pure.

Mooring's own layout (`native`) says everything: an instance can be read back, and its end is written before its key
goes. The others (`foreign`) are those of systems that came before, byte for byte. Their values do not say whose they
are, nor that an instance drains: whose a key is, is told by the lease that it hangs on, and what should be given no
new connection is not there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from attrs import frozen

from mooring.errors import DescriptorError
from mooring.model import Instance
from mooring_register.registrar import Key, Withdrawal


@frozen
class Arranged:
    """The instance that each key is to speak of, and which instances have no place in this layout, with the reasons."""

    instances: Mapping[str, Instance]
    problems: tuple[DescriptorError, ...] = ()


class Layout(Protocol):
    """One form of keys and values below one prefix."""

    @property
    def root(self) -> str:
        """What all of its keys begin with."""

    @property
    def is_whole(self) -> bool:
        """Whether a value says all there is to say: it can be decoded, and says whose it is and why it ends."""

    def arrange(self, instances: Mapping[Key, Instance]) -> Arranged:
        """Return what is to be written where."""

    def marks(self, withdrawals: Mapping[Key, Withdrawal]) -> Mapping[str, Withdrawal]:
        """Return the withdrawals by key, of those that are to be written down."""

    def encode(self, key: str, instance: Instance, now: float | None) -> bytes:
        """Return what a key is to hold; `now` (epoch seconds) is noted where there is room."""

    def decode(self, key: str, value: bytes) -> Instance | None:
        """Return the instance that a value speaks of, None where a value says less than that.

        Raises:
            DocumentError: it is not what belongs there.
        """

    def is_shared(self, key: str) -> bool:
        """Whether several hosts write the same value there, and it is to stay while one of them needs it."""
