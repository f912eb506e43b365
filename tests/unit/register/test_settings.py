"""What the command accepts, and how it says what is wrong."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from mooring.errors import SettingsError
from mooring_register.main import register
from mooring_register.settings import parse_registry


def refused(*arguments: str) -> str:
    """Run the command with options that it must refuse, and return what it says."""
    result = CliRunner().invoke(register, arguments)
    assert result.exit_code == 2, result.output
    return result.output


def test_every_problem_at_once() -> None:
    """All bad options are listed together, each by its name."""
    said = refused("--registry", "zookeeper://x", "--ttl", "1", "--ip", "nowhere", "--admin", "x:y")
    for name in ("--registry", "--ttl", "--ip", "--admin"):
        assert name in said


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ((), "--registry is missing"),
        (("--registry", "etcd://a", "--registry", "etcd://a/other"), "a:2379 is given twice"),
        (("--registry", "etcd2://a", "--registry", "etcd2://a/other?layout=embassy"), "etcd2://a:2379 is given twice"),
        (("--registry", "etcd2://a?layout=blue"), "layout 'blue' is unknown; there are native, registrator"),
        (("--registry", "etcd2://a?layout=backends"), "docker-discover reads /backends only"),
        (("--registry", "etcd2://a?colour=blue"), "option 'colour' is unknown; there are ca, cert"),
        (("--registry", "etcd://a", "--ip", "::1", "--interface", "eth0"), "--ip and --interface exclude each other"),
        (("--registry", "consul://a", "--registry", "consul://a:8500"), "consul://a:8500 is given twice"),
        (("--registry", "consul://a", "--layout", "embassy"), "--layout embassy means nothing to Consul"),
        (("--registry", "consul://a", "--registry", "consulkv://a:8500/x"), "consul://a:8500 is given twice"),
        (("--registry", "consulkv://a/x?layout=blue"), "layout 'blue' is unknown; there are native, registrator"),
        (("--registry", "consulkv://a/x", "--layout", "backends"), "in Consul one owns a key"),
        (("--registry", "consulkv://a", "--layout", "skydns"), "the path is the domain"),
        (("--dry-run", "--withdraw"), "--dry-run and --withdraw exclude each other"),
        (("--dry-run", "--network", "back"), "--network needs --internal"),
        (("--dry-run", "--backend-prefix", ""), "--backend-prefix is empty"),
        (("--registry", "etcd://a", "--static", "/nowhere.yaml"), "does not exist"),
    ],
)
def test_what_does_not_go_together(arguments: tuple[str, ...], problem: str) -> None:
    """Options that exclude each other, or lack another one, are refused with a sentence that says so."""
    assert problem in refused(*arguments)


def test_two_sources(tmp_path: Path) -> None:
    """One register has one source."""
    path = tmp_path / "static.yaml"
    path.write_text("instances: []")
    said = refused("--dry-run", "--static", str(path), "--docker", "unix:///x.sock")
    assert "--docker and --static exclude each other" in said


def test_registries_to_come() -> None:
    """A kind of registry that is known but not spoken yet is refused as that."""
    with pytest.raises(SettingsError, match="does not write to this kind of registry yet"):
        parse_registry("marathon://host:1", {})


def test_dry_run_for_consul(tmp_path: Path) -> None:
    """For Consul a dry run prints what its agent would be told of each service, and what would be left out of it."""
    path = tmp_path / "static.yaml"
    path.write_text(
        "instances: [{service: web/v1, address: '10.0.0.5:8080', checks: {http: /health}, attributes: {a.b: c}}]"
    )
    command = ["--dry-run", "--static", str(path), "--host", "h1", "--registry", "consul://127.0.0.1:1"]
    result = CliRunner().invoke(register, command)
    assert result.exit_code == 0, result.output
    service = json.loads(result.stdout)
    assert (service["Name"], service["Meta"]["mooring-service"]) == ("web-v1", "web/v1")
    assert [check.get("HTTP") for check in service["Checks"]] == [None, "http://10.0.0.5:8080/health"]
    assert "problem: 10.0.0.5:8080: attribute 'a.b'" in result.stderr


def test_layouts_of_keys_in_consul(tmp_path: Path) -> None:
    """Consul's keys are registrator's, who says `consulkv://`, unless another layout is said; an etcd's are ours."""
    path = tmp_path / "static.yaml"
    path.write_text("instances: [{service: web, address: '127.0.0.1:8001'}]")
    command = ["--dry-run", "--static", str(path), "--host", "h1"]

    def printed(*options: str) -> str:
        return CliRunner().invoke(register, [*command, *options]).stdout

    plain = "/old/web/127.0.0.1:web:8001 127.0.0.1:8001\n"
    assert printed("--registry", "consulkv://c/old") == plain
    assert printed("--registry", "consulkv-unix:///run/c:/old") == plain
    assert printed("--registry", "consulkv://c/old", "--layout", "native").startswith("/old/web/127.0.0.1:web:8001 {")
    assert printed("--registry", "consulkv://c/old?layout=native").startswith("/old/web/127.0.0.1:web:8001 {")
    assert printed("--registry", "etcd://e/old").startswith("/old/web/127.0.0.1:web:8001 {")


def test_docker_host_beside_a_static_source(tmp_path: Path) -> None:
    """That Docker's tools are told where their engine is does not keep a file from being the source."""
    path = tmp_path / "static.yaml"
    path.write_text("instances: []")
    arguments = ["--static", str(path), "--host", "h1", "--dry-run"]
    assert CliRunner().invoke(register, arguments, env={"DOCKER_HOST": "tcp://engine:2375"}).exit_code == 0


def test_a_wrong_docker_host() -> None:
    """A `DOCKER_HOST` that cannot be meant is told by its name, beside everything else that is wrong."""
    result = CliRunner().invoke(register, ["--dry-run", "--ttl", "1"], env={"DOCKER_HOST": "npipe://x"})
    assert result.exit_code == 2
    assert "DOCKER_HOST: npipe://: this way to an engine is not known" in result.output
    assert "--ttl" in result.output


def test_dry_run(tmp_path: Path) -> None:
    """A dry run prints key and document of what would be written, and what is wrong with the rest."""
    path = tmp_path / "static.yaml"
    path.write_text("instances:\n  - {service: web, address: 'h:1'}\n  - {service: bad}\n")
    result = CliRunner().invoke(register, ["--static", str(path), "--host", "h1", "--dry-run"])
    assert result.exit_code == 0
    assert result.stdout.startswith('/services/web/h:web:1 {"cause":"declared","host":"h1"')
    assert "static.yaml: instance 2: address is missing" in result.stderr


def test_every_option_is_documented() -> None:
    """Every option stands in this folder's README, with its environment variable."""
    readme = (Path(__file__).parents[3] / "register" / "README.md").read_text(encoding="utf-8")
    for parameter in register.params:
        for name in parameter.opts:
            assert f"`{name}" in readme, name


def test_a_layout_for_each_registry(tmp_path: Path) -> None:
    """The address of a registry may name another layout than the option; one etcd may be written by both its APIs."""
    path = tmp_path / "static.yaml"
    path.write_text("instances: [{service: web, address: '127.0.0.1:8001'}]")
    registries = ["--registry", "etcd://a/services", "--registry", "etcd2://a/old?layout=registrator"]
    result = CliRunner().invoke(register, ["--dry-run", "--static", str(path), "--host", "h1", *registries])
    assert "/old/web/127.0.0.1:web:8001 127.0.0.1:8001\n" in result.output
    assert '/services/web/127.0.0.1:web:8001 {"cause"' in result.output
