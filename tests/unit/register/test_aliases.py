"""What users of registrator and docker-register write, and what it is taken for."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from mooring.consul.address import ConsulAddress
from mooring.errors import SettingsError
from mooring.etcd.address import EtcdAddress
from mooring.model import Address
from mooring_register.aliases import registry_of_etcd_host
from mooring_register.main import register
from mooring_register.settings import RegistryAddress, parse_registry

INSTANCE = "instances:\n  - {service: web, address: 'h:1'}\n"
NOTED = "settings come from variables of other systems"


def dry_run(folder: Path, *arguments: str, **environment: str) -> Result:
    """Print what a file with one instance comes to, with these variables."""
    path = folder / "static.yaml"
    path.write_text(INSTANCE)
    asked = ["--static", str(path), "--host", "h1", "--dry-run", *arguments]
    return CliRunner().invoke(register, asked, auto_envvar_prefix="MOORING_REGISTER", env=environment)


def etcd2(place: str, port: int, prefix: str = "/services", layout: str = "") -> EtcdAddress:
    """Return the address of an etcd by its v2 API."""
    return EtcdAddress((Address(place, port),), prefix, scheme="etcd2://", layout=layout)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("skydns2://h:2379/cluster.local", etcd2("h", 2379, "/cluster.local", "skydns")),
        ("skydns2:///cluster.local", etcd2("127.0.0.1", 2379, "/cluster.local", "skydns")),
        ("skydns2://h/a.b?user=u&password-file=f", None),
        ("etcd-legacy://h:4001/s", etcd2("h", 4001, "/s")),
        ("consul://h:8500", ConsulAddress(Address("h", 8500))),
        ("consul-tls://h:8500", ConsulAddress(Address("h", 8500), uses_tls=True)),
        ("consul-unix:///run/consul.sock", ConsulAddress(None, socket="/run/consul.sock")),
    ],
)
def test_registries_of_registrator(text: str, expected: RegistryAddress | None) -> None:
    """An address that means the same here is understood as it stands."""
    address = parse_registry(text, {})
    if expected is None:
        assert isinstance(address, EtcdAddress)
        assert (address.user, address.password_file, address.layout) == ("u", "f", "skydns")
    else:
        assert address == expected


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("zookeeper://h/base", "zookeeper://: Mooring does not write to ZooKeeper"),
        ("coredns://h/skydns?zone=x", "coredns://: write etcd://HOST:PORT/DOMAIN with --layout skydns"),
        ("eureka://h", "eureka://: Mooring does not write to Eureka"),
    ],
)
def test_registries_that_are_refused(text: str, reason: str) -> None:
    """R-B: what means nothing here is refused, and what can be written instead is said."""
    with pytest.raises(SettingsError, match=reason):
        parse_registry(text, {})


@pytest.mark.parametrize(
    ("registry", "is_mistakable"),
    [
        ("etcd://h:4001/services", True),
        ("etcd://g,h:4001/services", True),
        ("etcd2://h:4001/services", False),
        ("etcd://h:2379/services", False),
        ("consul://h:4001", False),
    ],
)
def test_an_address_that_may_have_been_copied(tmp_path: Path, registry: str, is_mistakable: bool) -> None:
    """What registrator calls etcd:// is another thing here; at the port of that thing a warning says so."""
    warning = "this port was that of etcd's v2 API, which is etcd2:// here"
    assert (warning in dry_run(tmp_path, "--registry", registry).stderr) is is_mistakable


@pytest.mark.parametrize(
    ("host", "has_layout", "expected"),
    [
        pytest.param("h", False, etcd2("h", 4001, "/backends", "backends"), id="D-6 h"),
        pytest.param("h:2379", False, etcd2("h", 2379, "/backends", "backends"), id="D-6 h:2379"),
        ("[::1]", False, etcd2("::1", 4001, "/backends", "backends")),
        ("h", True, etcd2("h", 4001)),
    ],
)
def test_etcd_host(host: str, has_layout: bool, expected: EtcdAddress) -> None:
    """D-6: docker-register's variable means an etcd of its time, at port 4001, in its layout unless told otherwise."""
    assert parse_registry(registry_of_etcd_host(host, has_layout=has_layout), {}) == expected


def test_etcd_host_unset(tmp_path: Path) -> None:
    """D-6: without a registry the command ends with status 2, and names both ways to say it."""
    result = CliRunner().invoke(register, [], env={"ETCD_HOST": ""})
    assert result.exit_code == 2
    assert "--registry is missing (ETCD_HOST is not set either)" in result.output


@pytest.mark.parametrize(
    ("arguments", "environment", "key"),
    [
        ((), {"ETCD_HOST": "h"}, "/backends/web/h:web:1 h:1"),
        (("--layout", "registrator"), {"ETCD_HOST": "h"}, "/services/web/h:web:1 h:1"),
        ((), {"ETCD_HOST": "h", "MOORING_REGISTER_LAYOUT": "registrator"}, "/services/web/h:web:1 h:1"),
        (("--registry", "etcd://e/own"), {"ETCD_HOST": "h"}, "/own/web/h:web:1 {"),
        ((), {"ETCD_HOST": "h", "MOORING_REGISTER_REGISTRY": "etcd://e/own"}, "/own/web/h:web:1 {"),
    ],
)
def test_etcd_host_counts_last(
    tmp_path: Path, arguments: tuple[str, ...], environment: dict[str, str], key: str
) -> None:
    """The variable decides only what neither an option nor our own variable says, and is logged when it does."""
    result = dry_run(tmp_path, *arguments, **environment)
    assert result.exit_code == 0, result.output
    assert key in result.stdout
    assert (NOTED in result.stderr) is not ("own" in key)


def test_a_wrong_etcd_host(tmp_path: Path) -> None:
    """A variable that names no etcd is bad configuration, under its name."""
    result = dry_run(tmp_path, ETCD_HOST="h:port")
    assert result.exit_code == 2
    assert "ETCD_HOST: etcd2://h:port/backends" in result.stderr


def test_host_ip(tmp_path: Path) -> None:
    """docker-register's HOST_IP is --ip: told together with what excludes it, and unheard where --ip is said."""
    refused = dry_run(tmp_path, "--interface", "lo", HOST_IP="10.1.2.3")
    assert "--ip and --interface exclude each other" in refused.stderr
    assert "'--ip'" in dry_run(tmp_path, HOST_IP="nowhere").stderr
    assert NOTED in dry_run(tmp_path, HOST_IP="10.1.2.3").stderr
    assert NOTED not in dry_run(tmp_path, "--ip", "10.0.0.1", HOST_IP="10.1.2.3").stderr


def test_variables_of_consul_and_docker(tmp_path: Path) -> None:
    """Where Consul's and Docker's variables count they are named in the log, and a token's value is not."""
    result = dry_run(
        tmp_path,
        *("--registry", "consul://"),
        CONSUL_HTTP_ADDR="10.0.0.9:8501",
        CONSUL_HTTP_TOKEN="correct-horse",  # noqa: S106 -- looked for below
        DOCKER_HOST="tcp://127.0.0.1:2375",
    )
    assert result.exit_code == 0, result.output
    assert "['CONSUL_HTTP_ADDR', 'CONSUL_HTTP_TOKEN', 'DOCKER_HOST']" in result.stderr
    assert "correct-horse" not in result.output
