"""How we prove who we are to an etcd by its v2 API: TLS, certificates of both sides, a user with a password."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from requests.auth import HTTPBasicAuth

from mooring.errors import SettingsError, Unavailable
from mooring.etcd2.address import parse_etcd2_address
from mooring.etcd2.client import connect_to
from mooring.etcd2.store import ABSENT, Node
from tests.servers import EtcdServer, TlsEtcdServer
from tests.tls import TlsDoor, make_certificates

TTL_SECONDS = 60
PASSWORD = "größe & s3cret"  # noqa: S105 -- the one that this test sets


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make certificates; see `make_certificates`."""
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def tls_server(certificates: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TlsEtcdServer]:
    """Run an etcd that speaks v2 over TLS and wants a certificate of whoever comes."""
    with TlsEtcdServer(tmp_path_factory.mktemp("tls-etcd2"), certificates, "--enable-v2") as server:
        yield server


@pytest.fixture(scope="module")
def strict_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EtcdServer]:
    """Run an etcd that speaks v2 and lets nobody in but root, by a password."""
    with EtcdServer(tmp_path_factory.mktemp("strict-etcd2"), "--enable-v2") as server:
        auth, root = f"http://{server.address}/v2/auth", {"user": "root", "password": PASSWORD}
        requests.put(f"{auth}/users/root", json=root, timeout=10).raise_for_status()
        requests.put(f"{auth}/enable", timeout=10).raise_for_status()
        as_root = HTTPBasicAuth(b"root", PASSWORD.encode())
        guest = requests.put(
            f"{auth}/roles/guest",
            json={"role": "guest", "revoke": {"kv": {"read": ["/*"], "write": ["/*"]}}},
            auth=as_root,
            timeout=10,
        )
        guest.raise_for_status()
        yield server


def test_certificates_open_the_door(tls_server: TlsEtcdServer, certificates: Path, namespace: str) -> None:
    """With an authority, a certificate and its key in the address, keys can be written and listed."""
    files = f"ca={certificates}/ca.pem&cert={certificates}/client.pem&key={certificates}/client.key"
    keys = connect_to(parse_etcd2_address(f"etcd2://localhost:{tls_server.port}/services?{files}"))
    node = keys.put(f"/{namespace}/a", b"x", TTL_SECONDS, ABSENT)
    assert keys.list(f"/{namespace}") == (node,)
    keys.close()


@pytest.mark.parametrize("files", ["", "ca=ca.pem", "ca=other.pem&cert=client.pem&key=client.key"])
def test_the_door_stays_shut_otherwise(tls_server: TlsEtcdServer, certificates: Path, files: str) -> None:
    """Plain text, no certificate, or an authority that did not sign the server: `Unavailable`, with the endpoint."""
    query = files.replace("=", f"={certificates}/")
    keys = connect_to(parse_etcd2_address(f"etcd2://{tls_server.address}/services?{query}"))
    with pytest.raises(Unavailable, match=tls_server.address):
        keys.get("/a")
    keys.close()


def test_a_server_alone_may_show_a_certificate(strict_server: EtcdServer, certificates: Path, tmp_path: Path) -> None:
    """An authority and a password are enough where no certificate of ours is wanted."""
    query = f"ca={certificates}/ca.pem&{signed_in(tmp_path, PASSWORD)}"
    with TlsDoor(strict_server.port, certificates) as door:
        keys = connect_to(parse_etcd2_address(f"etcd2://127.0.0.1:{door.port}/services?{query}"))
        assert keys.get("/none") is None
        keys.close()


def test_a_password_opens_the_door(strict_server: EtcdServer, tmp_path: Path, namespace: str) -> None:
    """User and password file are what an etcd with authentication wants; the line's end in the file is no part."""
    query = signed_in(tmp_path, PASSWORD)
    keys = connect_to(parse_etcd2_address(f"etcd2://{strict_server.address}/services?{query}"))
    assert isinstance(keys.put(f"/{namespace}/a", b"x", TTL_SECONDS, ABSENT), Node)
    keys.close()


@pytest.mark.parametrize("password", ["", "wrong"])
def test_without_the_password(strict_server: EtcdServer, tmp_path: Path, password: str) -> None:
    """Nobody, or somebody with another password, is told so; a refusal is not taken for a key that is not there."""
    query = signed_in(tmp_path, password) if password else ""
    keys = connect_to(parse_etcd2_address(f"etcd2://{strict_server.address}/services?{query}"))
    for call in (lambda: keys.get("/a"), lambda: keys.put("/a", b"x", TTL_SECONDS, ABSENT), lambda: keys.list("/")):
        with pytest.raises(Unavailable, match=r"requires user authentication"):
            call()
    keys.close()


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    """A certificate or password file that cannot be read is an error of the settings, before anything is asked."""
    missing = tmp_path / "missing.pem"
    for query in (f"ca={missing}", f"user=u&password-file={missing}"):
        with pytest.raises(SettingsError, match=r"missing\.pem"):
            connect_to(parse_etcd2_address(f"etcd2://h?{query}"))


def signed_in(directory: Path, password: str) -> str:
    """Return the part of an address that signs in as root with this password."""
    file = directory / "password"
    file.write_text(password + "\n")
    return f"user=root&password-file={file}"
