"""What befalls the calls of a program to a server: at each call the next of the fates that a test has drawn.

A program under test is given `Fated(server)` for the server. A fate is one of the words below, or the name of something
that the test lets happen just before the call. Where no fate is left, calls are answered.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Final

from mooring.errors import Unavailable

FINE: Final = "fine"
LOST: Final = "lost"  # the request never arrives
UNANSWERED: Final = "unanswered"  # it is carried out, and the answer never arrives
KILLED: Final = "killed"  # the program is killed just before the call
KILLED_AFTER: Final = "killed after"  # the program is killed before it sees the answer

FAILURES: Final = (LOST, UNANSWERED)
DEATHS: Final = (KILLED, KILLED_AFTER)


class Killed(BaseException):
    """The program ends here, without another step: nothing of it may catch this."""


class Fated:
    """Stands in for `server`, whatever that is; `happen` carries out a fate that is none of the words above.

    While `is_away` every request is lost. `called` runs after each call that arrived, when fates have had their say.
    """

    def __init__(
        self,
        server: object,
        happen: Callable[[str], None] = lambda _: None,
        called: Callable[[], None] = lambda: None,
    ) -> None:
        self.is_away = False
        self.fates: deque[str] = deque()
        self._server = server
        self._happen = happen
        self._called = called

    def __getattr__(self, name: str) -> Callable[..., Any]:
        """Return the server's method of that name, with the next fate before and after it."""
        method = getattr(self._server, name)

        def call(*args: object, **named: object) -> object:
            fate = self.fates.popleft() if self.fates else FINE
            self._before(fate)
            try:
                return method(*args, **named)
            finally:
                self._called()
                self._after(fate)

        return call

    def _before(self, fate: str) -> None:
        if fate == KILLED:
            raise Killed
        if fate not in (FINE, *FAILURES, *DEATHS):
            self._happen(fate)
        if self.is_away or fate == LOST:
            raise Unavailable("the request was lost")

    @staticmethod
    def _after(fate: str) -> None:
        if fate == UNANSWERED:
            raise Unavailable("the answer was lost")
        if fate == KILLED_AFTER:
            raise Killed
