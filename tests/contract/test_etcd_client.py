"""What only a real etcd has: TLS, with certificates of both sides, files that may be missing, a library to outwit."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mooring.errors import SettingsError, Unavailable
from mooring.etcd.address import parse_etcd_address
from mooring.etcd.client import connect, connect_to
from mooring.etcd.store import Committed, Put
from mooring.model import Address, parse_address
from tests.servers import EtcdServer, TlsEtcdServer, free_port
from tests.tls import make_certificates
from tests.waiting import holds_for

# How often the library would ask, and how many times too many are one too many.
KEEPALIVE_SECONDS = 10.0
PINGS = 4.5

FILES = {"ca": "ca.pem", "cert": "client.pem", "key": "client.key"}


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make certificates; see `make_certificates`."""
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def tls_server(certificates: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TlsEtcdServer]:
    """Run an etcd that speaks TLS."""
    with TlsEtcdServer(tmp_path_factory.mktemp("tls-etcd"), certificates) as server:
        yield server


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_certificates_open_the_door(tls_server: TlsEtcdServer, certificates: Path, host: str) -> None:
    """With an authority, a certificate and its key in the address, a store can be written and watched."""
    query = "&".join(f"{name}={certificates}/{file}" for name, file in FILES.items())
    store = connect_to(parse_etcd_address(f"etcd://{host}:{tls_server.port}/services?{query}"))
    outcome = store.commit((), (Put("/a", b"1"),))
    assert isinstance(outcome, Committed)
    assert next(iter(store.watch("/", outcome.revision))) == ()
    store.close()


@pytest.mark.parametrize(
    "files", [{}, {"ca": "ca.pem"}, FILES | {"ca": "other.pem"}], ids=["plain", "no certificate", "wrong authority"]
)
def test_door_stays_shut_otherwise(tls_server: TlsEtcdServer, certificates: Path, files: dict[str, str]) -> None:
    """Plain text, no certificate, or an authority that did not sign the server: `Unavailable`, with the endpoint."""
    paths = {name: str(certificates / file) for name, file in files.items()}
    store = connect([parse_address(tls_server.address)], **paths)
    with pytest.raises(Unavailable, match=tls_server.address):
        store.get("/")
    store.close()


def test_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    """A certificate or password file that cannot be read is an error of the settings, before anything is started."""
    missing = tmp_path / "missing.pem"
    with pytest.raises(SettingsError, match=r"missing\.pem"):
        connect([Address("127.0.0.1", 1)], ca=str(missing))
    with pytest.raises(SettingsError, match=r"missing\.pem"):
        connect_to(parse_etcd_address(f"etcd://h?user=u&password-file={missing}"))


def test_password_is_read_from_its_file(tmp_path: Path) -> None:
    """The line's end that an editor leaves is no part of the password, and the store is made without contact."""
    file = tmp_path / "password"
    file.write_text("s3cret\n")
    store = connect_to(parse_etcd_address(f"etcd://127.0.0.1:{free_port()}?user=u&password-file={file}"))
    with pytest.raises(Unavailable, match="user u"):
        store.get("/")
    store.close()


def test_idle_connection_is_left_alone(own_etcd_server: EtcdServer, capfd: pytest.CaptureFixture[str]) -> None:
    """Who asks nothing is not cut off for asking too often whether the server is there: etcd allows it three times."""
    store = connect([parse_address(own_etcd_server.address)])
    store.get("/")
    told: list[str] = []

    def is_left_alone() -> bool:
        told.append(capfd.readouterr().err)
        return "too_many_pings" not in told[-1]

    holds_for(PINGS * KEEPALIVE_SECONDS, is_left_alone, lambda: told[-1])
    store.close()


def test_library_that_was_imported_first_is_told() -> None:
    """When etcd3 got in before our message classes nothing half-works: the import fails and says why."""
    setting = {"PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION": "python"}
    program = "import etcd3\nimport mooring.etcd.client"
    run = subprocess.run([sys.executable, "-c", program], env=setting, capture_output=True, text=True, check=False)
    assert run.returncode != 0
    assert "ImportError: etcd3 was imported before mooring.etcd" in run.stderr
