"""Where an engine is, as people write it, and what Docker's own variables add."""

import pytest

from mooring.errors import SettingsError
from mooring_register.engine.address import DockerAddress, Way, completed, parse_docker_address

HOME = "/home/somebody/.docker"


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("unix:///run/docker.sock", DockerAddress(Way.UNIX, "/run/docker.sock")),
        ("unix://", DockerAddress()),
        ("tcp://engine", DockerAddress(Way.TCP, "engine:2375")),
        ("tcp://engine:1234/", DockerAddress(Way.TCP, "engine:1234")),
        ("tcp://[fd00::1]", DockerAddress(Way.TCP, "[fd00::1]:2375")),
        ("tcp://[fd00::1]:1234", DockerAddress(Way.TCP, "[fd00::1]:1234")),
        ("http://127.0.0.1:2375", DockerAddress(Way.TCP, "127.0.0.1:2375")),
        ("tcp://engine?ca=/ca.pem", DockerAddress(Way.TCP, "engine:2376", "/ca.pem")),
        ("https://engine?ca=ca&cert=c&key=k", DockerAddress(Way.TCP, "engine:2376", "ca", "c", "k")),
        ("ssh://engine", DockerAddress(Way.SSH, "engine:22")),
        ("ssh://me@engine:2222", DockerAddress(Way.SSH, "me@engine:2222")),
        ("ssh://me@[fd00::1]", DockerAddress(Way.SSH, "me@[fd00::1]:22")),
    ],
)
def test_what_is_read(text: str, read: DockerAddress) -> None:
    """Every way to an engine that Docker's tools know is known here, with their ports where none is given."""
    assert parse_docker_address(text) == read


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("/var/run/docker.sock", "expected unix:///PATH"),
        ("engine:2375", "expected unix:///PATH"),
        ("npipe:////./pipe/docker_engine", "this way to an engine is not known"),
        ("fd://", "this way to an engine is not known"),
        ("unix://run/docker.sock", "begins with a slash"),
        ("unix:///run/docker.sock?ca=x", "'?' does not belong into the path of a socket"),
        ("tcp://", "expected HOST:PORT"),
        ("tcp://::1:2375", "expected HOST:PORT"),
        ("tcp://engine:0", "expected a port"),
        ("tcp://engine/prefix", "expected a host name or an IP address"),
        ("tcp://me:secret@engine", "do not belong before the host"),
        ("tcp://engine?verify=secret", "option 'verify' is unknown"),
        ("tcp://engine?ca=", "has no value, or several"),
        ("tcp://engine?ca=secret&ca=secret", "has no value, or several"),
        ("tcp://engine?ca=secret&cert=secret", "'cert' and 'key' need each other"),
        ("tcp://engine?cert=secret&key=secret", "need 'ca' beside them"),
        ("https://engine", "needs the authority that signed the engine's certificate"),
        ("ssh://me:secret@engine", "passwords are not read"),
        ("ssh://engine/var/run/docker.sock", "nothing may follow the host"),
        ("ssh://engine:port", "expected HOST:PORT"),
    ],
)
def test_what_is_refused(text: str, problem: str) -> None:
    """What cannot be meant is refused with the reason, which repeats nothing that may be secret."""
    with pytest.raises(SettingsError) as refused:
        parse_docker_address(text)
    assert problem in str(refused.value)
    assert "secret" not in str(refused.value)


def test_who_names_the_engine() -> None:
    """The option wins over `DOCKER_HOST`, and that over the default; an empty variable says nothing."""
    given = parse_docker_address("tcp://given")
    named = {"DOCKER_HOST": "tcp://named"}
    assert completed(given, named, HOME).place == "given:2375"
    assert completed(None, named, HOME).place == "named:2375"
    assert completed(None, {"DOCKER_HOST": ""}, HOME) == DockerAddress()
    assert [completed(one, named, HOME).named_by for one in (given, None)] == ["--docker", "DOCKER_HOST"]
    assert completed(None, {}, HOME).named_by == ""


def test_a_wrong_variable() -> None:
    """A `DOCKER_HOST` that cannot be meant is refused under its own name, without what is secret in it."""
    with pytest.raises(SettingsError, match=r"^DOCKER_HOST: .*passwords are not read$") as refused:
        completed(None, {"DOCKER_HOST": "ssh://me:secret@engine"}, HOME)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("environment", "folder"),
    [
        ({"DOCKER_TLS_VERIFY": "1"}, HOME),
        ({"DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": "/certificates/"}, "/certificates"),
        ({"DOCKER_CERT_PATH": "/certificates"}, "/certificates"),
    ],
)
def test_tls_by_variables(environment: dict[str, str], folder: str) -> None:
    """Docker's variables turn TLS on, with the files that Docker's tools would take."""
    found = completed(parse_docker_address("tcp://engine:2376"), environment, HOME)
    assert (found.ca, found.cert, found.key) == tuple(f"{folder}/{name}.pem" for name in ("ca", "cert", "key"))


@pytest.mark.parametrize("text", ["unix://", "ssh://engine", "tcp://engine?ca=mine"])
def test_tls_where_it_has_no_meaning(text: str) -> None:
    """Docker's variables change nothing for a socket, for SSH, and where the address names its own files."""
    given = parse_docker_address(text)
    assert completed(given, {"DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": "/certificates"}, HOME) == given


def test_an_empty_variable_turns_nothing_on() -> None:
    """`DOCKER_TLS_VERIFY=` means no, as for Docker's tools."""
    assert completed(parse_docker_address("tcp://engine"), {"DOCKER_TLS_VERIFY": ""}, HOME).ca == ""


@pytest.mark.parametrize(
    ("text", "is_here"),
    [
        ("unix://", True),
        ("tcp://127.0.0.1:2375", True),
        ("tcp://[::1]:2375", True),
        ("tcp://localhost:2375", True),
        ("tcp://10.0.0.1:2375", False),
        ("tcp://engine:2375", False),
        ("ssh://localhost", False),
    ],
)
def test_which_engines_are_on_this_host(text: str, is_here: bool) -> None:
    """Only a socket and the loopback lead to an engine that is surely on this machine."""
    assert parse_docker_address(text).is_on_this_host is is_here
