"""A Ray cluster of two nodes on this machine, and the processes in which it works."""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

_CHANCE = random.Random(0)
_NODE = {"num_cpus": 1, "object_store_memory": 80 << 20}


class TwoNodes:
    """A cluster of a head and one more node, of one core each."""

    def __init__(self) -> None:
        self._before = {name: os.environ.get(name) for name in ("RAY_USAGE_STATS_ENABLED", "PYTHONPATH")}
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
        os.environ["PYTHONPATH"] = os.pathsep.join(sys.path)  # so that workers find the functions of the tests
        from ray.cluster_utils import Cluster

        self.cluster: Any = _patiently(
            lambda: Cluster(initialize_head=True, head_node_args={**_NODE, "include_dashboard": False})
        )
        self.other = _patiently(lambda: self.cluster.add_node(**_NODE))

    @property
    def address(self) -> str:
        return str(self.cluster.address)

    def lose_a_node(self) -> None:
        """Take the machine that is not the head away at once, and give another."""
        self.cluster.remove_node(self.other, allow_graceful=False)
        self.other = _patiently(lambda: self.cluster.add_node(**_NODE))

    def workers(self) -> list[int]:
        """Processes of this cluster that work for a backend."""
        nodes = [node.all_processes["raylet"][0].process.pid for node in self.cluster.list_all_nodes()]
        return [pid for pid in _processes() if _parent(pid) in nodes and b"_Worker" in _command(pid)]

    def kill_a_worker(self) -> bool:
        """Kill one, any; whether there was one."""
        workers = self.workers()
        if not workers:
            return False
        try:
            os.kill(_CHANCE.choice(workers), signal.SIGKILL)
        except ProcessLookupError:
            return False
        return True

    def end(self) -> None:
        import ray

        ray.shutdown()
        self.cluster.shutdown()
        for name, value in self._before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def _patiently(start: Callable[[], Any]) -> Any:
    """Start something of Ray, which gives up after half a minute: too soon where others have the cores."""
    for _ in range(3):
        try:
            return start()
        except Exception as error:
            if "timed out during startup" not in str(error):
                raise
    return start()


def _processes() -> list[int]:
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def _parent(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()[1])
    except OSError:
        return 0


def wait_for(condition: Any, seconds: float = 60.0) -> None:
    """Wait until something is true."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.05)
