"""`make bench-scale`: a register of ten thousand containers, what it takes, and whether that is within the bars.

Writes build/bench/scale.json, and ends with status 1 when a bar is missed. The engine is one over HTTP that has no
containers, and takes as long for an inspection as a real one (tests/http_engine.py); the etcd is real.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Final

from tests.bench import scenes
from tests.bench.crowd import Crowd
from tests.servers import EtcdServer

WRITTEN: Final = Path("build/bench/scale.json")
SLOW_SECONDS: Final = 0.2
AT_ONCE: Final = 100
BURST: Final = 500

# What a figure must be below.
BARS: Final = {
    ("register all", "seconds"): 15.0,
    ("reconcile", "seconds each"): 1.0,
    ("reconcile", "writes"): 1,
    ("churn", "growth over the last half, percent"): 2.0,
}


def measure(containers: int, events: int) -> dict[str, scenes.Figures]:
    """Play all scenes, and return what each of them measured."""
    with tempfile.TemporaryDirectory(prefix="bench-scale-") as folder:
        directory = Path(folder)
        with EtcdServer(directory / "etcd") as etcd:
            with Crowd(etcd, _folder(directory, "alone"), "alone") as crowd:
                figures = {"register none": scenes.register_all(crowd, 0)}
            with Crowd(etcd, _folder(directory, "crowd"), "crowd") as crowd:
                figures["register all"] = scenes.register_all(crowd, containers)
                figures["reconcile"] = scenes.reconcile(crowd, 1)
                figures["one change"] = scenes.change_one(crowd, 100)
                figures["churn"] = scenes.churn(crowd, events, AT_ONCE)
            with Crowd(etcd, _folder(directory, "far"), "far", delay_seconds=SLOW_SECONDS) as crowd:
                scenes.register_all(crowd, BURST)
                figures["burst with a slow etcd"] = scenes.burst(crowd, BURST)
    each = (figures["register all"]["MB"] - figures["register none"]["MB"]) / containers
    figures["register all"]["KB for a container"] = 1000 * each
    return figures


def _folder(directory: Path, name: str) -> Path:
    folder = directory / name
    folder.mkdir()
    return folder


def main() -> int:
    """Measure, print, write down, and return how many bars were missed."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--containers", type=int, default=10_000)
    options.add_argument("--events", type=int, default=100_000)
    given = options.parse_args()
    figures = measure(given.containers, given.events)
    for scene, measured in figures.items():
        print(scene)
        for name, figure in measured.items():
            bar = BARS.get((scene, name))
            missed = "" if bar is None else f"  must be below {bar:g}" + ("" if figure < bar else ": MISSED")
            print(f"  {figure:14.3f}  {name}{missed}")
    WRITTEN.parent.mkdir(parents=True, exist_ok=True)
    WRITTEN.write_text(json.dumps(figures, indent=1) + "\n")
    return sum(figures[scene][name] >= bar for (scene, name), bar in BARS.items())


if __name__ == "__main__":
    sys.exit(min(1, main()))
