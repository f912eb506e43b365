"""What passes from the owner to a writer."""

from mooring.model import Address, Instance
from mooring_register.plan import Holding
from mooring_register.registrar import Withdrawal
from mooring_register.writers.mailbox import Mailbox

WEB = Instance(service="web", id="a", address=Address("10.0.0.1", 80))
DIED = Withdrawal("exited 137", 1.0)


def test_the_latest_wins() -> None:
    """A writer that was busy sees only the latest, and yet every reason that it did not act upon."""
    mailbox = Mailbox()
    mailbox.deliver({WEB.key: WEB}, {})
    mailbox.deliver({}, {WEB.key: DIED})
    number = mailbox.deliver({}, {})
    latest = mailbox.latest()
    assert latest is not None
    assert (latest.number, latest.instances, latest.withdrawals) == (number, {}, {WEB.key: DIED})


def test_reasons_end() -> None:
    """A reason is forgotten when it was acted upon, or when the instance is wanted again."""
    mailbox = Mailbox()
    mailbox.deliver({}, {WEB.key: DIED})
    latest = mailbox.latest()
    assert latest is not None
    mailbox.settle(latest)
    settled = mailbox.latest()
    assert settled is not None
    assert settled.withdrawals == {}
    mailbox.deliver({}, {WEB.key: DIED})
    mailbox.deliver({WEB.key: WEB}, {})
    wanted = mailbox.latest()
    assert wanted is not None
    assert wanted.withdrawals == {}


def test_settling() -> None:
    """Whoever waits for a delivery learns when it, or a later one, is settled; an earlier one does not count."""
    mailbox = Mailbox()
    mailbox.deliver({}, {})
    first = mailbox.latest()
    number = mailbox.deliver({WEB.key: WEB}, {})
    assert first is not None
    mailbox.settle(first)
    assert not mailbox.wait_settled(number, 0.0)
    latest = mailbox.latest()
    assert latest is not None
    mailbox.settle(latest)
    assert mailbox.wait_settled(number, 0.0)
    assert mailbox.wait_settled(first.number, 0.0)


def test_what_a_registry_holds() -> None:
    """It is what was settled last, whatever came after that; nothing before anything was."""
    mailbox = Mailbox()
    mailbox.deliver({WEB.key: WEB}, {})
    assert mailbox.holding() is None
    delivery = mailbox.latest()
    assert delivery is not None
    mailbox.settle(delivery)
    assert mailbox.holding() == Holding({WEB.key: WEB}, is_all=True)
    mailbox.deliver({}, {})
    assert mailbox.holding() == Holding({WEB.key: WEB}, is_all=False)


def test_what_waits_longest_is_told() -> None:
    """The age is that of the oldest change that the registry lacks, whatever came after it."""
    now = 100.0
    mailbox = Mailbox(lambda: now)
    assert mailbox.undelivered_seconds() == 0.0
    mailbox.deliver({WEB.key: WEB}, {})
    taken = mailbox.latest()
    assert taken is not None
    now = 103.0
    mailbox.deliver({}, {})
    now = 104.0
    mailbox.deliver({WEB.key: WEB}, {})
    assert mailbox.undelivered_seconds() == 4.0
    mailbox.settle(taken)
    assert mailbox.undelivered_seconds() == 1.0
    latest = mailbox.latest()
    assert latest is not None
    mailbox.settle(latest)
    now = 200.0
    assert mailbox.undelivered_seconds() == 0.0
