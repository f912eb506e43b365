"""`mooring explain` on this machine's engine, with a register that runs and without."""

from __future__ import annotations

import json
import os
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.integration.docker_hosts import ENGINE, Host, open_host
from tests.parts import MOORING
from tests.servers import EtcdServer, free_port
from tests.waiting import wait_until

pytestmark = pytest.mark.docker


@pytest.fixture
def host(etcd_server: EtcdServer, tmp_path: Path, namespace: str, whoami_image: str) -> Iterator[Host]:
    """Give a register that has listed the engine, and end it with all its containers."""
    with open_host(etcd_server, tmp_path, namespace, whoami_image) as one:
        yield one


def explain(*arguments: str, host: str, admin: int) -> subprocess.CompletedProcess[str]:
    """Run the command at this engine; the register is asked on that port."""
    where = ("--docker", f"unix://{ENGINE}", "--host", host, "--ip", "127.0.0.1", "--admin", str(admin))
    command = [str(MOORING), "explain", *arguments, *where, "--log-level", "error"]
    return subprocess.run(command, capture_output=True, text=True, timeout=50, check=False)


def test_a_container_is_explained_with_what_the_register_has(host: Host) -> None:
    """Where each word is from, what is wrong, what the register wants and wrote; by name or beginning of the id."""
    one = host.run({"environment": ["SERVICE_80_TAGS=a", "SECRET=geheim", "BACKEND_X=geheim"]}, WEIGHT="x", NAMES="y")
    wait_until(host.published, "the container to be published")
    (published,) = host.published().values()
    wait_until(lambda: not host.process.state()["registries"][0]["undelivered seconds"], "all to be written")
    told = explain(one.name or "", host=host.site.host, admin=host.process.port)
    assert (told.returncode, told.stderr) == (0, "")
    for line in (
        f", at 127.0.0.1 (--ip)\nthe register on 127.0.0.1:{host.process.port} answers, everything was listed ",
        "holds the host; everything is written",
        f"  80/tcp registered (up) as {host.site.host}\n",
        str(published.address),
        "(published on all addresses, hence the host's)",
        "(label SERVICE_NAME)",
        "(variable SERVICE_80_TAGS)",
        "  problem: SERVICE_WEIGHT='x': expected a whole number",
        "  variable BACKEND_X: no binding: it cannot be meant, see the problems",
        "  perhaps: label SERVICE_NAMES is taken for the attribute 'names'; did you mean SERVICE_NAME?",
    ):
        assert line in told.stdout
    assert "geheim" not in told.stdout
    by_id = explain(str(one.id)[:14], host=host.site.host, admin=host.process.port)
    assert by_id.stdout.partition("\n\n")[2] == told.stdout.partition("\n\n")[2]


def test_a_container_that_ended_is_explained_as_if_it_ran(host: Host) -> None:
    """Without a register, too: what would be, and that it does not run; as JSON for machines."""
    one = host.container(PUBLISH="81")
    one.kill()
    told = explain(one.name or "", "--json", host=host.site.host, admin=free_port())
    document = json.loads(told.stdout)
    (explained,) = document["containers"]
    assert told.returncode == 0
    assert document["register"]["answers"] is False
    assert (explained["state"], explained["against"]) == ("exited 137", "it does not run")
    (left,) = explained["left_out"]
    assert (left["port"], left["rule"]) == ("80/tcp", "Docker has not published it yet")
    assert {"word": "publish", "value": "81", "source": "label SERVICE_PUBLISH"} in left["words"]


def test_the_settings_of_register_count_by_its_variables(host: Host) -> None:
    """In register's container, or with its environment, the command needs no option to see what register sees."""
    one = host.container()
    said = {
        "MOORING_REGISTER_DOCKER": f"unix://{ENGINE}",
        "MOORING_REGISTER_INTERNAL": "true",
        "MOORING_REGISTER_ADMIN": str(host.process.port),
    }
    command = [str(MOORING), "explain", one.name or ""]
    told = subprocess.run(command, capture_output=True, text=True, timeout=50, check=False, env=os.environ | said)
    assert told.returncode == 0
    assert f"the register on 127.0.0.1:{host.process.port} answers" in told.stdout
    assert "(--internal, its own address in network bridge)" in told.stdout


def test_what_names_no_container_is_told(host: Host) -> None:
    """Told with what was perhaps meant, beside what is known; status 1."""
    one = host.container()
    name = one.name or ""
    told = explain(name[:-1], "no-such-container", name, host=host.site.host, admin=host.process.port)
    assert told.returncode == 1
    assert f"there is no container '{name[:-1]}'; did you mean {name}?" in told.stdout
    assert "there is no container 'no-such-container'\n" in told.stdout
    assert f"\n{name}  {one.short_id}" in told.stdout


def test_the_beginning_of_several_ids_is_told(host: Host, whoami_image: str) -> None:
    """Of seventeen containers two have ids that begin alike; nobody guesses which of them is meant."""
    with ExitStack() as ending:
        ids = []
        for _ in range(17):
            one = host.client.containers.create(whoami_image)
            ending.callback(one.remove)
            ids.append(str(one.id))
        first = Counter(one[0] for one in ids).most_common(1)[0][0]
        told = explain(first, host=host.site.host, admin=host.process.port)
    assert (told.returncode, told.stderr) == (1, "")
    assert f"the ids of several containers begin with '{first}'" in told.stdout


def test_an_engine_that_does_not_answer(tmp_path: Path) -> None:
    """One sentence, and status 1."""
    command = [str(MOORING), "explain", "--docker", f"unix://{tmp_path}/no.sock", "--ip", "127.0.0.1"]
    told = subprocess.run(command, capture_output=True, text=True, timeout=50, check=False)
    assert told.returncode == 1
    assert "mooring:" in told.stderr
    assert "Traceback" not in told.stderr
