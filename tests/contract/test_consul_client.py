"""The way to a real Consul: outages, tokens, TLS, Unix sockets, threads; and what the environment does not change."""

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from attrs import evolve

from mooring.consul.address import parse_consul_address
from mooring.consul.agent import Check, Service, Ttl
from mooring.consul.client import Consul, HttpAgent, connect_to
from mooring.consul.connection import Connection
from mooring.consul.keys import ABSENT
from mooring.errors import SettingsError, Unavailable
from tests.consul import ConsulServer
from tests.servers import HOST, EtcdServer, free_port
from tests.tls import make_certificates

ALL_SERVICES = (
    'service_prefix "" { policy = "write" } node_prefix "" { policy = "read" } agent_prefix "" { policy = "read" }'
)


def consul_at(address: str) -> Consul:
    """Return the agent at an address, as `consul://` takes it."""
    return connect_to(parse_consul_address(f"consul://{address}"))


@pytest.fixture(scope="module")
def strict_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConsulServer]:
    """Run a Consul that denies everything to everybody without a token, and speaks TLS on a second port."""
    certificates = make_certificates(tmp_path_factory.mktemp("certificates"))
    with ConsulServer(tmp_path_factory.mktemp("strict"), has_tokens=True, certificates=certificates) as server:
        yield server


@pytest.fixture
def token_file(strict_server: ConsulServer, tmp_path: Path) -> Path:
    """Give a file with a token that may do anything with services, and nothing with keys."""
    file = tmp_path / "token"
    file.write_text(strict_server.make_token(ALL_SERVICES) + "\n")
    return file


@pytest.mark.consul
def test_away_and_back(own_consul_server: ConsulServer) -> None:
    """Without an agent every call says so, by its address; when it is back the same connection goes on."""
    consul = consul_at(own_consul_server.address)
    service = Service(id="a", name="a")
    consul.agent.register(service, [Check(id="c", name="c", probe=Ttl(60), initial="passing")])
    own_consul_server.kill()
    for call in (consul.agent.services, consul.agent.identity, lambda: consul.keys.get("a")):
        with pytest.raises(Unavailable, match=f"consul://{own_consul_server.address}: ConnectionError"):
            call()
    own_consul_server.start()
    assert consul.agent.services() == {"a": service}
    assert consul.agent.report("c", "passing")
    consul.close()


@pytest.mark.consul
def test_an_agent_that_falls_silent(own_consul_server: ConsulServer) -> None:
    """An agent that froze is given up after a while, and asked again as soon as it goes on."""
    address = parse_consul_address(f"consul://{own_consul_server.address}")
    connection = Connection(address, answer_seconds=3.0)
    agent = HttpAgent(connection)
    assert agent.services() == {}
    own_consul_server.pause()
    with pytest.raises(Unavailable, match="ReadTimeout"):
        agent.services()
    own_consul_server.resume()
    assert agent.services() == {}
    connection.close()


def test_what_is_no_consul(etcd_server: EtcdServer) -> None:
    """Another server that speaks HTTP is told from a Consul, and is an outage like any other."""
    consul = consul_at(etcd_server.address)
    for call in (
        consul.agent.services,
        consul.agent.identity,
        lambda: consul.keys.put("a", b"", ABSENT),
        lambda: consul.keys.create_session("a", 10),
    ):
        with pytest.raises(Unavailable, match="no answer of a Consul"):
            call()
    consul.close()


@pytest.mark.consul
def test_a_path_that_is_cleaned_is_not_followed(consul_server: ConsulServer) -> None:
    """Where an agent would send us to another key than the one that was meant, we do not go."""
    consul = consul_at(consul_server.address)
    with pytest.raises(Unavailable, match="TooManyRedirects"):
        consul.keys.list("a//b/")
    consul.close()


@pytest.mark.consul
def test_the_environment_changes_nothing(
    consul_server: ConsulServer, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Variables that the library and requests obey lead neither elsewhere nor to another token."""
    for name, value in {
        "CONSUL_HTTP_ADDR": f"{HOST}:{free_port()}",
        "CONSUL_HTTP_TOKEN": "11111111-1111-1111-1111-111111111111",
        "CONSUL_HTTP_SSL": "true",
        "CONSUL_HTTP_SSL_VERIFY": "nonsense",
        "HTTP_PROXY": f"http://{HOST}:{free_port()}",
        "REQUESTS_CA_BUNDLE": "/nowhere",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    consul = consul_at(consul_server.address)
    consul.agent.register(Service(id=namespace, name=namespace))
    assert namespace in consul.agent.services()
    consul.close()


@pytest.mark.consul
def test_several_threads(consul_server: ConsulServer, namespace: str) -> None:
    """Threads share what was connected, and each gets its own answers."""
    consul = consul_at(consul_server.address)
    problems: list[Exception] = []
    everybody = threading.Barrier(8)

    def register(number: int) -> None:
        try:
            everybody.wait()
            for turn in range(10):
                consul.agent.register(Service(id=f"{namespace}:{number}:{turn}", name=namespace))
                assert consul.keys.put(f"{namespace}/{number}/{turn}", b"", ABSENT) is None
        except Exception as error:
            problems.append(error)
            raise

    threads = [threading.Thread(target=register, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    assert len([one for one in consul.agent.services().values() if one.name == namespace]) == 80
    assert len(consul.keys.list(f"{namespace}/")) == 80
    consul.close()


def test_a_slow_answer_delays_nobody_else() -> None:
    """While one thread waits for its answer, others get theirs."""
    with socket.create_server((HOST, 0)) as listener:
        consul = consul_at(f"{HOST}:{listener.getsockname()[1]}")
        answers: list[object] = []
        threads = [threading.Thread(target=lambda: answers.append(consul.agent.services())) for _ in range(2)]
        threads[0].start()
        slow, _ = listener.accept()
        threads[1].start()
        quick, _ = listener.accept()
        for connection in (quick, slow):
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
            threads[1 if connection is quick else 0].join()
            connection.close()
        assert answers == [{}, {}]
        consul.close()


@pytest.mark.consul
def test_a_unix_socket(consul_server: ConsulServer, namespace: str) -> None:
    """An agent behind a Unix socket is spoken to as any other; one that is not there is an outage."""
    consul = connect_to(parse_consul_address(f"consul-unix://{consul_server.socket}"))
    service = Service(id=f"{namespace}/a b", name=namespace)
    consul.agent.register(service)
    assert consul.agent.services()[service.id] == service
    assert consul.keys.put(f"{namespace}/a", b"1", ABSENT) is None
    consul.close()
    nobody = connect_to(parse_consul_address(f"consul-unix://{consul_server.socket}.none"))
    with pytest.raises(Unavailable, match="consul-unix:///"):
        nobody.agent.services()
    nobody.close()


@pytest.mark.consul
def test_a_token_is_wanted(strict_server: ConsulServer, tmp_path: Path) -> None:
    """Without a token, or with one that is not known, writing is an outage that says why and repeats no token."""
    wrong = tmp_path / "token"
    wrong.write_text("11111111-1111-1111-1111-111111111111")
    without, stranger = consul_at(strict_server.address), consul_at(f"{strict_server.address}?token-file={wrong}")
    with pytest.raises(Unavailable, match="it wants a token: Permission denied"):
        without.agent.register(Service(id="a", name="a"))
    with pytest.raises(Unavailable, match="our token is refused: ACL not found") as told:
        stranger.agent.register(Service(id="a", name="a"))
    assert wrong.read_text() not in str(told.value)
    without.close()
    stranger.close()


@pytest.mark.consul
def test_a_token_allows_what_it_allows(strict_server: ConsulServer, token_file: Path, namespace: str) -> None:
    """What a token allows is done, and what it does not allow is refused."""
    consul = consul_at(f"{strict_server.address}?token-file={token_file}")
    service = Service(id=namespace, name=namespace)
    consul.agent.register(service)
    assert consul.agent.services()[namespace] == service
    with pytest.raises(Unavailable, match="our token is refused: Permission denied"):
        consul.keys.put(namespace, b"", ABSENT)
    consul.close()


@pytest.mark.consul
def test_a_token_that_is_in_no_file(strict_server: ConsulServer, token_file: Path, namespace: str) -> None:
    """A token that the environment gave is as good as one of a file."""
    address = parse_consul_address(f"consul://{strict_server.address}")
    consul = connect_to(evolve(address, token=token_file.read_text().strip()))
    consul.agent.register(Service(id=namespace, name=namespace))
    assert namespace in consul.agent.services()
    consul.close()
    with pytest.raises(SettingsError, match="holds what no token holds"):
        connect_to(evolve(address, token="token\r\nHost: elsewhere"))  # noqa: S106 -- none


@pytest.mark.consul
def test_a_token_is_exchanged(strict_server: ConsulServer, token_file: Path, namespace: str) -> None:
    """A token that is no longer valid is read anew from its file, and the call is made again with the new one."""
    consul = consul_at(f"{strict_server.address}?token-file={token_file}")
    consul.agent.register(Service(id=namespace, name=namespace))
    strict_server.drop_token(token_file.read_text().strip())
    with pytest.raises(Unavailable, match="our token is refused: ACL not found"):
        consul.keys.create_session(namespace, 10)
    token_file.write_text(strict_server.make_token(ALL_SERVICES))
    consul.agent.register(Service(id=f"{namespace}-2", name=namespace))
    token_file.unlink()
    assert f"{namespace}-2" in consul.agent.services()
    consul.close()


@pytest.mark.consul
def test_what_a_token_may_not_read_is_not_there(strict_server: ConsulServer, token_file: Path, namespace: str) -> None:
    """Consul hides what a token may not read and calls that success: nothing to be seen is nothing to conclude from."""
    ours, without = consul_at(f"{strict_server.address}?token-file={token_file}"), consul_at(strict_server.address)
    ours.agent.register(Service(id=namespace, name=namespace))
    assert namespace not in without.agent.services()
    ours.close()
    without.close()


@pytest.mark.consul
def test_tls(strict_server: ConsulServer, tmp_path: Path, token_file: Path, namespace: str) -> None:
    """With an authority, a certificate and a key all is said over TLS; each that is missing is an outage."""
    certificates = strict_server.certificates
    own = f"cert={certificates}/client.pem&key={certificates}/client.key&token-file={token_file}"
    place = f"{HOST}:{strict_server.tls_port}"
    consul = consul_at(f"{place}?ca={certificates}/ca.pem&{own}")
    consul.agent.register(Service(id=namespace, name=namespace))
    assert namespace in consul.agent.services()
    consul.close()
    for query, reason in (
        (f"?ca={certificates}/other.pem&{own}", "SSLError: .*certificate verify failed"),
        (f"?tls=true&{own}", "SSLError: .*certificate verify failed"),
        (f"?ca={certificates}/ca.pem", "(SSL|Connection)Error"),
        ("", "it speaks TLS"),
    ):
        stranger = consul_at(f"{place}{query}")
        with pytest.raises(Unavailable, match=f"consul://{place}: {reason}"):
            stranger.agent.services()
        stranger.close()


def test_files_that_cannot_be_used(tmp_path: Path) -> None:
    """A file that cannot be read, or does not hold what it should, is named before anything is asked."""
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    (tmp_path / "lines").write_text("token\r\nHost: elsewhere")
    for query, reason in (
        (f"token-file={tmp_path}/none", f"{tmp_path}/none: cannot be read: No such file"),
        (f"token-file={tmp_path}/empty", f"{tmp_path}/empty: holds no token"),
        (f"token-file={tmp_path}/lines", f"{tmp_path}/lines: holds no token"),
        (f"token-file={tmp_path}/binary", f"{tmp_path}/binary: cannot be read: not a token"),
        (f"ca={tmp_path}/none", f"{tmp_path}/none: cannot be used for TLS: No such file"),
        (f"ca={tmp_path}/empty", f"{tmp_path}/empty: cannot be used for TLS"),
    ):
        with pytest.raises(SettingsError, match=reason):
            consul_at(f"{HOST}?{query}")


def test_a_closed_connection() -> None:
    """What is asked after closing leaves no connection behind."""
    with socket.create_server((HOST, 0)) as listener:
        consul = consul_at(f"{HOST}:{listener.getsockname()[1]}")
        consul.close()

        def ask() -> None:
            with pytest.raises(Unavailable):
                consul.agent.services()

        asks = threading.Thread(target=ask)
        asks.start()
        connection, _ = listener.accept()
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 500 no\r\nContent-Length: 2\r\n\r\nno")
        assert connection.recv(65536) == b""
        connection.close()
        asks.join()
