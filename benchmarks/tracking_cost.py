"""What a live view in MLflow costs a training: the same training with and without it, in pairs, on a real server.

    python benchmarks/tracking_cost.py [--pairs 12] [--epochs 12]

A pair is one training with a live view on an `mlflow server` of its own on this machine, and one without, in random
order; compared is the time of `fit`, by the clock and by the processor's seconds of this process (the server's are not
in it). Opening the view and sending the rest at the end are timed by themselves. MLflow's system metrics are measured
every second, ten times as often as usual. Prints a table for benchmarks/RESULTS.md.
"""

import argparse
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

from resnet_ops.families.member import Member
from resnet_ops.provenance import environment, git_state, hardware
from resnet_ops.training.epoch import Epoch
from resnet_ops.training.loop import fit
from resnet_ops_registry.client.tracking import LiveRun
from tests.attacks.servers import Config, start
from tests.unit.core.makers import digits, make_plan, make_recipe

MEMBER = Member(depth=20, widths=(16, 32, 64), stem_kernel=3, stem_stride=1, shortcut="identity")
DATA = digits()


def train(epochs: int, live: LiveRun | None) -> tuple[float, float, float]:
    """Seconds of the training by the clock and by the processor, and those of opening and closing the view."""
    plan = make_plan(make_recipe(epochs=epochs, batch_size=64), member=MEMBER)
    callbacks: list[Callable[[Epoch], None]] = [live.log_epoch] if live else []
    opened = time.perf_counter()
    with live or nullcontext():
        started = time.perf_counter(), time.process_time()
        fit(plan, DATA, callbacks)
        ended = time.perf_counter(), time.process_time()
        if live:
            live.finish("a" * 64)
    closed = time.perf_counter()
    clock, processor = (after - before for before, after in zip(started, ended, strict=True))
    return clock, processor, closed - opened - clock


def interval(ratios: np.ndarray) -> str:
    """The median with its 95 % bootstrap interval."""
    draws = np.random.default_rng(0).choice(ratios, (10_000, len(ratios)))
    low, high = np.quantile(np.median(draws, axis=1), [0.025, 0.975])
    return f"{np.median(ratios):.3f} ({low:.3f}-{high:.3f})"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pairs", type=int, default=12)
    parser.add_argument("--epochs", type=int, default=12)
    arguments = parser.parse_args()
    print(hardware(), environment(), git_state(Path()), f"load {os.getloadavg()[0]:.1f}")
    os.environ["MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL"] = "1"
    chance, found = random.Random(0), []
    with tempfile.TemporaryDirectory() as folder:
        database = f"sqlite:///{folder}/mlflow.db"
        with start(Config(False, "sqlite"), Path(folder), database) as server:
            os.environ["MLFLOW_TRACKING_URI"] = server.uri
            train(1, LiveRun("digits", "resnet20"))
            for pair in range(arguments.pairs):
                taken = {}
                for watched in chance.sample([True, False], 2):
                    live = LiveRun("digits", "resnet20") if watched else None
                    taken[watched] = train(arguments.epochs, live)
                found.append([*taken[True], *taken[False]])
                print(f"  pair {pair + 1}: {taken}", file=sys.stderr)
    live_clock, live_cpu, around, clock, cpu, _ = np.array(found).T
    print(f"\nresnet20, {arguments.epochs} epochs of 898 digits, n = {arguments.pairs} pairs\n")
    print("| | without, s | with, s | ratio of pairs, median (95 % CI) |\n|---|---|---|---|")
    for name, plain, watched in (("clock", clock, live_clock), ("processor", cpu, live_cpu)):
        print(f"| {name} | {np.median(plain):.2f} | {np.median(watched):.2f} | {interval(watched / plain)} |")
    print(f"\nOpening and closing the view: {np.median(around):.2f} s (median)")


if __name__ == "__main__":
    main()
