"""Containers about which an engine gives no answer."""

from mooring_register.engine.silences import Silences


def test_later_and_later() -> None:
    """A container is asked about again after 10 s, then after twice as long, at the latest after five minutes."""
    silences = Silences()
    now, waited = 0.0, []
    for _ in range(7):
        silences.begin("c", "no answer", now)
        assert not silences.holds("other", now)
        due = next(at for at in range(int(now), int(now) + 400) if not silences.holds("c", at))
        assert silences.due(due) == ("c",)
        waited.append(due - now)
        now = due
    assert waited == [10, 20, 40, 80, 160, 300, 300]


def test_its_end() -> None:
    """An answer ends a silence: the next one is new, and is waited for no longer than the first."""
    silences = Silences()
    assert silences.begin("c", "no answer", 0.0)
    assert not silences.begin("c", "still none", 10.0)
    assert silences.reasons() == {"c": "still none"}
    assert [one for one in ("a", "c", "d") if one in silences] == ["c"]
    silences.end("c")
    assert silences.reasons() == {}
    assert silences.begin("c", "no answer", 100.0)
    assert not silences.holds("c", 110.0)


def test_who_is_gone() -> None:
    """Nobody is asked about a container that is not there any more."""
    silences = Silences()
    for container in ("stays", "gone"):
        silences.begin(container, "no answer", 0.0)
    silences.keep_only(frozenset({"stays", "other"}))
    assert silences.due(10.0) == ("stays",)
