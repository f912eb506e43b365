"""The demo's parts as commands."""

from __future__ import annotations

from pathlib import Path

from mooring_stack.embedded import Program
from mooring_stack.pipeline import Places, environment, parts, servers, what_to_try

AT = Places(
    home=Path("/home"),
    etcd=1001,
    etcd_peer=1002,
    redis=1003,
    register=1004,
    discover=1005,
    proxies={"127.0.0.1": 1006, "127.0.0.2": 1007},
    published=1008,
)


def test_every_part_has_a_name_of_its_own() -> None:
    """Its log file and its place among the children hang on it."""
    names = [
        part.name for part in (*servers(AT, Program("etcd", "etcd", ""), Program("redis", "redis", "")), *parts(AT))
    ]
    assert names == ["etcd", "redis", "register", "discover", "proxy-1", "proxy-2"]


def test_every_part_of_mooring_listens_where_we_ask_whether_it_is_ready() -> None:
    """Its admin port is one of those held for this demo, never a default that another demo would want too."""
    admins = [part.command[part.command.index("--admin") + 1] for part in parts(AT)]
    assert admins == [f"127.0.0.1:{port}" for port in (1004, 1005, 1006, 1007)]


def test_the_proxies_publish_on_an_address_each() -> None:
    """Two proxies on one machine answer on the same port of two loopback addresses."""
    commands = [part.command for part in parts(AT) if part.name.startswith("proxy")]
    assert [command[command.index("--address") + 1] for command in commands] == ["127.0.0.1", "127.0.0.2"]


def test_what_to_try_names_the_real_places() -> None:
    """The lines can be pasted as they are."""
    lines = what_to_try(AT, {"whoami-1": 4242})
    assert lines[:3] == (
        "curl http://127.0.0.1:1008/",
        "curl http://127.0.0.2:1008/",
        "redis-cli -p 1003 XREVRANGE mooring:events + - COUNT 5",
    )
    assert any("kill -9 4242" in line for line in lines)


def test_settings_of_ours_and_of_etcd_do_not_leak_into_the_children() -> None:
    """A MOORING_PROXY_CATALOG in the shell would otherwise contradict what the demo asks of its proxies."""
    given = {"PATH": "/bin", "MOORING_PROXY_CATALOG": "x", "ETCD_DATA_DIR": "y"}
    assert {name for name in environment(given) if name != "ETCD_UNSUPPORTED_ARCH"} == {"PATH"}
