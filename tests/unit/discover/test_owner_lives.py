"""Whatever happens to an owner and its stream in memory, in any order: what is written is what is known, once."""

from collections.abc import Callable

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from mooring.model import Instance, State
from mooring.redis.memory import MemoryStream
from mooring_discover.observations import Key, Observation
from mooring_discover.suspects import Policy
from tests.checker import check
from tests.unit.discover.making import Desk, deleted, expired, head, instance, listed, seen, states, withdrawn


class Lives(RuleBasedStateMachine):
    """Discover at a Redis in memory through everything that can happen to it; every history must check.

    What is written must be what is known, as soon as Redis answers again.
    """

    def __init__(self) -> None:
        super().__init__()
        self.desk = Desk(MemoryStream(lambda: 0.0), policy=Policy(hold_seconds=20.0))
        self.held: dict[str, Instance] = {}

    names = st.sampled_from("abcdef")

    def make(self, name: str, weight: int) -> Instance:
        """Return an instance whose everything follows from its name, but for its port."""
        return instance(
            f"service{ord(name) % 2}", name, host=f"host{ord(name) % 3}", port=1000 + ord(name) * 10 + weight
        )

    @rule(name=names, weight=st.integers(0, 3))
    def see(self, name: str, weight: int) -> None:
        """An instance is there."""
        self.held[name] = self.make(name, weight)
        self.desk.turn(seen(self.held[name]))

    @rule(name=names, how=st.sampled_from([withdrawn, deleted, expired]))
    def lose(self, name: str, how: Callable[[Key], Observation]) -> None:
        """An instance goes."""
        self.held.pop(name, None)
        self.desk.turn(how(self.make(name, 0).key))

    @rule()
    def list_anew(self) -> None:
        """The source starts over."""
        self.desk.turn(listed(self.held.values()))

    @rule()
    def restart(self) -> None:
        """Killed, and started again."""
        self.desk.stream.recover()
        self.desk.stream.lose_answer(0)
        self.desk.restart()
        self.desk.turn(listed(self.held.values()))

    @rule(times=st.integers(1, 3))
    def lose_answers(self, times: int) -> None:
        """The next writes happen, and nobody hears of it."""
        self.desk.stream.lose_answer(times)

    @rule()
    def wipe(self) -> None:
        """Redis is another, empty one."""
        self.desk.stream.wipe()

    @rule()
    def fail(self) -> None:
        """Redis does not answer."""
        self.desk.stream.fail()

    @rule()
    def be_usurped(self) -> None:
        """Somebody else takes the lead for a moment."""
        self.desk.stream.recover()
        self.desk.stream.lose_answer(0)
        self.desk.stream.resign(self.desk.leadership.leader)
        self.desk.stream.lead("somebody", expiry_seconds=1e9)
        self.desk.turn()
        self.desk.stream.resign("somebody")

    @rule(seconds=st.floats(0.0, 30.0))
    def pass_time(self, seconds: float) -> None:
        """Time passes."""
        self.desk.lead()
        self.desk.turn(after_seconds=seconds)

    @rule()
    def come_to_rest(self) -> None:
        """Redis answers again and nothing happens for a while: all is written, nothing twice."""
        self.desk.stream.recover()
        self.desk.stream.lose_answer(0)
        self.desk.turn(listed(self.held.values()))
        for _ in range(12):
            self.desk.quiet_down()
        report = check(self.desk.stream)
        assert report.epochs
        written = self.desk.stream.catalog()
        assert states(written.instances()) == states(self.desk.owner.known.shown.instances())
        unmarked = {one.id for one in written.instances() if one.state is not State.SUSPECT}
        assert unmarked == set(self.held)
        assert head(self.desk).complete

    def teardown(self) -> None:
        """Every life ends at rest."""
        self.come_to_rest()


TestLives = Lives.TestCase
TestLives.settings = settings(stateful_step_count=30)
