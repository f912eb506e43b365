"""`mooring events` on a real Redis: what it chooses, and what it tells when the stream is not what it was."""

from __future__ import annotations

import signal
import subprocess
from contextlib import closing
from pathlib import Path

import pytest
import redis

from mooring.commands.choosing import Ago, Choice, FromSequence
from mooring.commands.entry_forms import Notice
from mooring.commands.reading import begin
from mooring.commands.tailing import NO_STREAM
from mooring.facts import EpochBegan
from mooring.redis.client import RedisStream
from mooring.selector import parse_selector
from tests.integration.commands.onlookers import Onlooker, append, environment, hand_written, onlooker, options, run
from tests.integration.discovers import Site, instance
from tests.parts import MOORING
from tests.servers import RedisServer
from tests.streams import begun, setting, written
from tests.waiting import holds_for, wait_until

# -- what is chosen ---------------------------------------------------------------------------------------------------


def sequences_of(stream: RedisStream, choice: Choice) -> list[int | str]:
    """Return the sequences of what is shown, and the texts of what is told between."""
    return [one.text if isinstance(one, Notice) else one.sequence for one in begin(stream, choice)[1]]


@pytest.mark.parametrize(
    ("choice", "sequences"),
    [
        (Choice(), [1, 2, 3, 4]),
        (Choice(count=3), [2, 3, 4]),
        (Choice(count=0), []),
        (Choice(since=FromSequence(3)), [3, 4]),
        (Choice(since=FromSequence(2), count=1), [4]),
        (Choice(since=FromSequence(100)), []),
        (Choice(types=frozenset({"epoch-began", "instance-added"})), [1, 2]),
        (Choice(types=frozenset({"setting-changed"}), count=1), [4]),
        (Choice(selector=parse_selector("web")), [2]),
        (Choice(selector=parse_selector("db")), []),
    ],
)
def test_entries_are_chosen(stream: RedisStream, choice: Choice, sequences: list[int]) -> None:
    """By number, by type, by service, from a sequence on: the newest of those that are wanted."""
    assert sequences_of(stream, choice) == sequences


def test_what_was_trimmed_away_is_told_to_who_asked_for_it(stream: RedisStream) -> None:
    """Whoever asks from the third entry on hears that it is gone; whoever asks for all gets all that there is."""
    stream.trim(4)
    gone = "entry 3 is missing: trimmed away before they could be read"
    assert sequences_of(stream, Choice(since=FromSequence(3))) == [gone, 4]
    assert sequences_of(stream, Choice()) == [4]


def test_a_long_stream_is_searched_whole_for_the_newest_that_is_wanted(stream: RedisStream) -> None:
    """What is wanted may stand many pages before the end."""
    for _ in range(4):
        append(stream, *map(setting, range(400)))
    assert sequences_of(stream, Choice(selector=parse_selector("web"), count=1)) == [2]


def test_what_was_appended_within_a_duration_is_found(site: Site) -> None:
    """The moment is looked for in the stream itself; a day takes in everything, nothing is newer than now."""
    site.put(instance("a"), instance("b"))
    site.discover().ready()
    wait_until(site.complete, "the stream to be complete")
    assert sequences_of(site.stream, Choice(since=Ago(86400))) == [1, 2, 3]
    assert sequences_of(site.stream, Choice(since=Ago(0))) == []


def test_without_a_head_it_is_said_and_entries_are_shown_all_the_same(
    stream: RedisStream, client: redis.Redis, namespace: str
) -> None:
    """Whoever looks at what went wrong sees what there is."""
    client.delete(f"{namespace}:head")
    assert sequences_of(stream, Choice(count=2)) == [NO_STREAM, 3, 4]


# -- as a command -----------------------------------------------------------------------------------------------------


def test_the_newest_entries_are_a_table(stream: RedisStream, redis_server: RedisServer, namespace: str) -> None:
    """Oldest first, with titles; what a stranger wrote is shown as it is, and moves no cursor."""
    stranger = {"hello": "\x1b[2Jthere"}
    with redis.Redis(port=redis_server.port) as client:
        client.xadd(f"{namespace}:events", stranger, id="5-0")
    shown = run("events", *options(redis_server, namespace), "--count", "4")
    assert (shown.returncode, shown.stderr) == (0, "")
    titles, *rows = shown.stdout.splitlines()
    assert titles.split()[:3] == ["sequence", "time", "type"]
    assert [row.split()[0] for row in rows[:-1]] == ["2", "3", "4"]
    assert {"instance-added", "web", "10.0.0.5:80", "up"} <= {*rows[0].split()}
    assert rows[-1] == "-- entry 5-0 cannot be read: v is missing: hello=\\x1b[2Jthere"


def test_a_reader_that_has_enough_ends_it_quietly(
    stream: RedisStream, redis_server: RedisServer, namespace: str
) -> None:
    """`mooring events | head -1` prints one line and no complaint."""
    for _ in range(4):
        append(stream, *map(setting, range(400)))
    words = " ".join((str(MOORING), "events", *options(redis_server, namespace), "--since", "1", "--json"))
    shown = subprocess.run(["sh", "-c", f"{words} | head -n 1"], env=environment({}), capture_output=True, check=True)
    assert (shown.stdout.count(b"\n"), shown.stderr) == (1, b"")


def test_without_a_stream_or_redis_it_says_so(redis_server: RedisServer, namespace: str) -> None:
    """Status 1, with the reason; a wrong address is a wrong configuration."""
    absent, away = run("events", *options(redis_server, namespace)), run("events", "--redis", "redis://127.0.0.1:1/0")
    assert (absent.returncode, away.returncode) == (1, 1)
    assert "there is no stream here" in absent.stderr
    assert "Redis 127.0.0.1:1 cannot be reached" in away.stderr
    wrong = run("events", "--redis", "http://h", "--since", "x")
    assert wrong.returncode == 2
    assert {"--redis", "--since"} <= {word.strip("':") for word in wrong.stderr.split()}


# -- following --------------------------------------------------------------------------------------------------------


def test_following_survives_whatever_happens_to_redis(
    site: Site, own_redis_server: RedisServer, namespace: str, tmp_path: Path
) -> None:
    """Emptied, restarted, written anew: each is told, and in every life each entry is shown once, from the first on."""
    site.put(instance("a"))
    site.discover().ready()
    wait_until(site.complete, "the stream to be complete")
    with onlooker(tmp_path, ("events", *options(own_redis_server, namespace), "--follow", "--json")) as following:
        following.wait_for('"id": "a"')
        with redis.Redis(port=own_redis_server.port) as client:
            client.flushall()
        following.wait_for("the stream begins anew")
        site.put(instance("b"))
        following.wait_for('"id": "b"')
        own_redis_server.restart()
        following.wait_for("Redis answers again")
        site.put(instance("c"))
        following.wait_for('"id": "c"')
        following.send(signal.SIGINT)
        assert following.status() == 0
    lives = lives_of(following)
    assert len(lives) == 3
    assert all(sequences == [*range(1, len(sequences) + 1)] for sequences in lives.values())
    assert any("trying on" in one.get("notice", "") for one in following.documents())


def lives_of(following: Onlooker) -> dict[str, list[int]]:
    """Return the sequences that were shown, in order, by incarnation."""
    lives: dict[str, list[int]] = {}
    for one in following.documents():
        if "notice" not in one:
            lives.setdefault(one["incarnation"], []).append(one["sequence"])
    return lives


def test_following_tells_what_was_trimmed_away_before_it_was_read(
    stream: RedisStream, redis_server: RedisServer, namespace: str, tmp_path: Path
) -> None:
    """Who stood still meanwhile hears which entries there were, and goes on with those that are left."""
    where = options(redis_server, namespace)
    with onlooker(tmp_path, ("events", *where, "--follow", "--json", "--count", "1")) as following:
        following.wait_for("setting-changed")
        following.pause()
        for _ in range(2):
            append(stream, *map(setting, range(400)))
        stream.trim(700)
        following.send(signal.SIGCONT)
        following.wait_for("missing: trimmed away before they could be read")
        following.wait_for('{"sequence": 804,')
        (shown,) = lives_of(following).values()
    # A page that was asked for before it stood still may have come from before the trimming.
    assert shown[-105:] == [*range(700, 805)]
    assert len(shown) == len({*shown})


def test_an_entry_that_no_reading_gets_past_is_shown_once_and_tires_nobody(
    own_redis_server: RedisServer, namespace: str, tmp_path: Path
) -> None:
    """After `XADD mooring:events 4-1` no read waits any more; whoever follows still asks only now and then."""
    with hand_written(own_redis_server, namespace), redis.Redis(port=own_redis_server.port) as client:

        def reads() -> int:
            calls: int = client.info("commandstats").get("cmdstat_xread", {"calls": 0})["calls"]
            return calls

        client.xadd(f"{namespace}:events", {"hello": "there"}, id="4-1")
        with onlooker(tmp_path, ("events", *options(own_redis_server, namespace), "--follow")) as following:
            following.wait_for("hello=there")
            wait_until(reads, "it to read on")
            before = reads()
            holds_for(1.5, lambda: reads() - before < 20, "it reads now and then")
            assert sum("hello=there" in line for line in following.lines()) == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_following_waits_for_a_redis_and_for_a_stream(tmp_path: Path, number: signal.Signals) -> None:
    """Started before either is there, it shows what comes; it ends well on Ctrl-C and SIGTERM."""
    server = RedisServer(tmp_path / "redis")
    with onlooker(tmp_path, ("events", "--redis", server.url, "--follow")) as following:
        following.wait_for("cannot be reached")
        with server, closing(RedisStream.from_url(server.url)) as stream:
            following.wait_for("there is no stream here")
            begun(stream)
            written(stream, EpochBegan("tests"))
            following.wait_for("the stream begins: incarnation life")
            following.wait_for("epoch-began")
            following.send(number)
            assert following.status() == 0
