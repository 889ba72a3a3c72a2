"""How often the drift alarm fires: without drift, under harmful shifts, under harmless ones; and how well it guesses.

    python benchmarks/drift_power.py --data DATA

DATA holds `fashion-mnist` (the four idx files) and `cifar10` (the binary version, or `cifar10_jpeg.npz`). Trains a
small ResNet of our own on each data set, without its last class; scores images that it never saw, as they are and
shifted, once, and keeps the scores in CACHE; then deals windows and judges each by the product's own
`resnet_ops_monitoring.drift.detector.judge`. Beside it, on the same windows: Kolmogorov-Smirnov on the softmax columns
(BBSD, Rabanser et al. 2019), and Evidently's default, the share of drifted columns, on image statistics. Numbers are
kept in CACHE too, so that a run that was cut off goes on. Writes the tables in docs/drift-measured.md.
"""

import argparse
import os
import sys
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import pandas as pd

from benchmarks.drift_parts.drift_pools import MIXES, OWN, REFERENCE, Pool, frame_of
from benchmarks.drift_parts.shifted_images import CASES, CLEAN, SHIFTS, Scores, scores_of
from benchmarks.marked_part import write_marked_part
from resnet_ops.files import read_json, write_json
from resnet_ops.provenance import environment, git_state, hardware
from resnet_ops_monitoring.drift.budget import k_of_n, reference_correlation, window_alpha
from resnet_ops_monitoring.drift.detector import judge
from resnet_ops_monitoring.inference_log.frames import STATISTICS
from resnet_ops_monitoring.settings.drift import DriftParams, read_drift_params
from resnet_ops_monitoring.statistics.two_sample import kolmogorov_smirnov

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "drift-measured.md"
START, END = "<!-- drift power: begin -->", "<!-- drift power: end -->"
SIZES = (50, 100, 500, 1000, 10_000)
SHARED = 10
"""Windows that are judged against one reference before another is dealt."""
CALM = "none"
MEMORY = (2, 3)
"""An alarm takes so many of so many windows."""
PER_DAY, HOURLY = 0.1, 100
LEVEL = 0.05


@dataclass(frozen=True)
class Bench:
    """What is measured, and how often. Each number is kept in `work`, so that a run goes on where it was cut off."""

    params: DriftParams
    work: Path
    calm: int
    """Windows without drift for each size."""
    moved: int
    """Windows for each shift and size."""
    theirs: int
    """Of those, windows that Evidently judges too."""

    def kept(self, name: str, make: Callable[[], dict[str, float]]) -> dict[str, float]:
        path = self.work / f"{name}.json".replace(" ", "-").replace("%", "pc").replace("/", "-")
        if not path.exists():
            write_json(path, make())
            print(name, file=sys.stderr, flush=True)
        found: dict[str, float] = read_json(path)
        return found

    def rates(self, pool: Pool, shift: str, n: int) -> dict[str, float]:
        """Shares of windows that alarm, by each method."""
        windows = self.calm if shift == CALM else self.moved
        return self.kept(
            f"{pool.case.name} {shift} {n} {windows}", lambda: self._rates(pool, shift, n, windows)
        )

    def _rates(self, pool: Pool, shift: str, n: int, windows: int) -> dict[str, float]:
        rng = np.random.default_rng(0)
        fired: dict[str, list[bool]] = {"ours": [], "input": [], "softmax": [], "evidently": []}
        for number in range(windows):
            if shift == CALM:
                base, window = pool.calm(n, rng)
            elif number % SHARED == 0:
                base, window = pool.reference(rng), pool.shifted(shift, n, rng)
            else:
                window = pool.shifted(shift, n, rng)
            if shift == CALM or number % SHARED == 0:
                reference = pool.calibrated_accuracy(base, self.params.seed)
            settings = replace(self.params, seed=number)
            verdict = judge(frame_of(window, pool.classes), reference, settings, window="w")
            fired["ours"].append(verdict.status == "alarm")
            fired["input"].append(verdict.input_drift)
            fired["softmax"].append(bbsd(base, window))
            if number < self.theirs:
                fired["evidently"].append(evidently(base, window))
        return {name: float(np.mean(flags)) for name, flags in fired.items()}

    def guesses(self, pool: Pool, shift: str) -> dict[str, float]:
        """Errors of estimated accuracy at n = 1000 by several methods, and how often our interval holds the truth."""
        return self.kept(f"{pool.case.name} {shift} accuracy", lambda: self._guesses(pool, shift))

    def _guesses(self, pool: Pool, shift: str) -> dict[str, float]:
        rng = np.random.default_rng(1)
        found: dict[str, list[float]] = defaultdict(list)
        for _ in range(5):
            base = pool.reference(rng)
            reference = pool.calibrated_accuracy(base, self.params.seed)
            known = pool.calibrated_accuracy(base, self.params.seed, without=OWN.get(shift, ()))
            plain = replace(reference, accuracy_calibration=None)
            for _ in range(3):
                window = pool.shifted(shift, 1000, rng)
                truth = float(window.right.mean())
                frame = frame_of(window, pool.classes)
                guess, blind, alone = (
                    judge(frame, each, self.params, window="w").estimated
                    for each in (reference, known, plain)
                )
                if guess is None or blind is None or alone is None:
                    raise ValueError("a judged window has an estimate")
                found["truth"].append(truth)
                found["ours"].append(abs(guess.value - truth))
                found["own"].append(abs(blind.value - truth))
                found["atc"].append(abs(alone.value - truth))
                found["confidence"].append(abs(float(window.probabilities.max(axis=1).mean()) - truth))
                found["same"].append(abs(float(base.right.mean()) - truth))
                for name, each in (("", guess), ("own ", blind)):
                    found[f"{name}holds"].append(float(each.low <= truth <= each.high))
                    found[f"{name}width"].append((each.high - each.low) / 2)
        return {key: float(np.mean(values)) for key, values in found.items()}

    def reasons(self, pool: Pool, shift: str, n: int) -> dict[str, float]:
        """Shares of windows whose likely reason is of the shift's own kind, is another one, and is not named."""
        return self.kept(f"{pool.case.name} {shift} {n} reason", lambda: self._reasons(pool, shift, n))

    def _reasons(self, pool: Pool, shift: str, n: int) -> dict[str, float]:
        rng = np.random.default_rng(3)
        found: list[str | None] = []
        for _ in range(4):
            reference = pool.calibrated_accuracy(pool.reference(rng), self.params.seed)
            for _ in range(5):
                window = frame_of(pool.shifted(shift, n, rng), pool.classes)
                found.append(judge(window, reference, self.params, window="w").likely_reason)
        own = sum(kind in OWN.get(shift, ()) for kind in found) / len(found)
        none = sum(kind is None for kind in found) / len(found)
        return {"own": own, "other": 1 - own - none, "none": none}

    def months(self, pool: Pool, months: int, per_day: float, hourly: int) -> dict[str, float]:
        """False alarms a day over months of hourly windows of `hourly` rows without drift, one reference a month."""
        return self.kept(
            f"{pool.case.name} {months} months", lambda: self._months(pool, months, per_day, hourly)
        )

    def _months(self, pool: Pool, months: int, per_day: float, hourly: int) -> dict[str, float]:
        rng, clean = np.random.default_rng(2), pool.scores[CLEAN]
        alpha = window_alpha(per_day, 24, *MEMORY, reference_correlation(hourly, REFERENCE))
        settings = replace(self.params, alpha=alpha)
        fired, alarms, onsets = 0, 0, 0
        for _ in range(months):
            base = clean[rng.integers(0, len(clean), REFERENCE)]
            reference = pool.calibrated_accuracy(base, self.params.seed)
            flags: list[bool] = []
            alarmed = False
            for number in range(24 * 30):
                window = frame_of(clean[rng.integers(0, len(clean), hourly)], pool.classes)
                verdict = judge(window, reference, replace(settings, seed=number), window="w")
                flags.append(verdict.status == "alarm")
                before, alarmed = alarmed, k_of_n(flags, *MEMORY)
                alarms, onsets = alarms + alarmed, onsets + (alarmed and not before)
            fired += sum(flags)
        days = 30 * months
        return {"alpha": alpha, "fired": fired / days / 24, "alarms": alarms / days, "onsets": onsets / days}


def bbsd(reference: Scores, window: Scores) -> bool:
    """Kolmogorov-Smirnov on each softmax column, Bonferroni."""
    before, now = reference.probabilities, window.probabilities
    columns = range(before.shape[1])
    return min(kolmogorov_smirnov(before[:, k], now[:, k])[1] for k in columns) <= LEVEL / len(columns)


def evidently(reference: Scores, window: Scores) -> bool:
    """The dataset drift of `DataDriftPreset` on image statistics, all as it comes."""
    os.environ.setdefault("DO_NOT_TRACK", "true")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from evidently import Report
        from evidently.presets import DataDriftPreset

        frames = [pd.DataFrame(each.statistics, columns=list(STATISTICS)) for each in (window, reference)]
        found = Report([DataDriftPreset()]).run(frames[0], frames[1]).dict()
    share = next(each["value"]["share"] for each in found["metrics"] if "DriftedColumnsCount" in str(each))
    return bool(share >= 0.5)


def share(value: float) -> str:
    """Without the leading zero."""
    return "1" if value > 0.9995 else f"{value:.3f}".rstrip("0").rstrip(".").removeprefix("0") or "0"


def false_alarms(bench: Bench, pools: list[Pool]) -> Iterator[str]:
    yield "| data | n | ours | KS on softmax | Evidently's default |"
    yield "|---|---|---|---|---|"
    for pool in pools:
        for n in SIZES:
            found = bench.rates(pool, CALM, n)
            cells = " | ".join(share(found[key]) for key in ("ours", "softmax", "evidently"))
            yield f"| {pool.case.name} | {n:,} | {cells} |"


def power(bench: Bench, pools: list[Pool]) -> Iterator[str]:
    yield "| data | shift (accuracy) | n | ours | input drift | KS on softmax | Evidently's default |"
    yield "|---|---|---|---|---|---|---|"
    for pool in pools:
        for shift in (*pool.case.harmful, *MIXES, *pool.slight, *pool.harmless):
            about = f" ({100 * pool.accuracy(shift):.1f})" if shift in SHIFTS else ""
            word = "harmless: " if shift in pool.harmless else "slight: " if shift in pool.slight else ""
            for n in (100, 500, 1000):
                found = bench.rates(pool, shift, n)
                cells = " | ".join(share(found[key]) for key in ("ours", "input", "softmax", "evidently"))
                yield f"| {pool.case.name} | {word}{shift}{about} | {n:,} | {cells} |"


def accuracies(bench: Bench, pools: list[Pool]) -> Iterator[str]:
    yield (
        "| data | shifts | ours | own kind not tried | ATC | confidence averaged | assumed unchanged "
        "| interval holds | half width | own kind not tried: holds | half width |"
    )
    yield "|---|---|---|---|---|---|---|---|---|---|---|"
    for pool in pools:
        covered = [bench.guesses(pool, shift) for shift in (*SHIFTS, MIXES[0])]
        blind = [bench.guesses(pool, MIXES[1])]
        for name, found in (("all", covered), ("30 % unseen class, the blind spot", blind)):
            means = {key: float(np.mean([each[key] for each in found])) for key in found[0]}
            errors = " | ".join(
                f"{100 * means[key]:.1f}" for key in ("ours", "own", "atc", "confidence", "same")
            )
            intervals = " | ".join(
                f"{share(means[f'{which}holds'])} | {100 * means[f'{which}width']:.1f}"
                for which in ("", "own ")
            )
            yield f"| {pool.case.name} | {len(found)} {name} | {errors} | {intervals} |"


def likely_reasons(bench: Bench, pools: list[Pool]) -> Iterator[str]:
    yield "| data | shifts | n | named rightly | named otherwise | not named |"
    yield "|---|---|---|---|---|---|"
    calibrated_accuracy = [name for name in SHIFTS if name in OWN]
    strange = [name for name in SHIFTS if name not in OWN and name != "dirty camera"]
    for pool in pools:
        costly = [name for name in calibrated_accuracy if name not in (*pool.harmless, *pool.slight)]
        for what, shifts in (
            (f"{len(costly)} of a rehearsed kind that cost more than a point", costly),
            (f"{len(strange) + 1} of no such kind: {', '.join(strange)}, unseen class", [*strange, MIXES[1]]),
        ):
            for n in (100, 500):
                found = [bench.reasons(pool, shift, n) for shift in shifts]
                cells = " | ".join(
                    share(float(np.mean([each[key] for each in found]))) for key in ("own", "other", "none")
                )
                yield f"| {pool.case.name} | {what} | {n} | {cells} |"


def budget(bench: Bench, pools: list[Pool], months: int) -> Iterator[str]:
    yield "| data | rows | budget a day | level of a window | fired | windows in alarm a day | alarms begun a day |"
    yield "|---|---|---|---|---|---|---|"
    for pool in pools:
        found = bench.months(pool, months, PER_DAY, HOURLY)
        yield (
            f"| {pool.case.name} | {HOURLY} | {PER_DAY} | {found['alpha']:.4f} | {found['fired']:.4f} "
            f"| {found['alarms']:.3f} | {found['onsets']:.3f} |"
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--cache", type=Path, default=ROOT / "var" / "drift_power")
    names = [case.name for case in CASES]
    parser.add_argument("--only", nargs="*", choices=names, default=names, help="data sets")
    parser.add_argument("--calm", type=int, default=400, help="windows without drift for each size")
    parser.add_argument("--moved", type=int, default=60, help="windows for each shift and size")
    parser.add_argument("--theirs", type=int, default=20, help="windows that Evidently judges, of each")
    parser.add_argument("--months", type=int, default=3, help="simulated months for each data set")
    parser.add_argument(
        "--measure", action="store_true", help="measure and keep, but leave the page as it is"
    )
    arguments = parser.parse_args()
    params = replace(read_drift_params(ROOT / "params.yaml"), alpha=LEVEL)
    bench = Bench(params, arguments.cache / "rates", arguments.calm, arguments.moved, arguments.theirs)
    pools = [
        Pool(case, scores_of(case, arguments.data, arguments.cache))
        for case in CASES
        if case.name in arguments.only
    ]
    about = {**environment(), **hardware(), **git_state(ROOT)}
    tests = ", ".join(f"{pool.case.name} {100 * pool.scores[CLEAN].right.mean():.1f} %" for pool in pools)
    body = [
        f"Made by `python benchmarks/drift_power.py` at commit {str(about['commit'])[:7]}: {about['cpu']}, "
        f"cores used: {about['cores']}, Python {about['python']}, torch {about['torch']}. Accuracy: {tests}.",
        f"alpha {LEVEL}, {REFERENCE} reference rows (digits {len(pools[0].scores[CLEAN]) // 2}), {params.test_rows} "
        f"rows tested of a window. {arguments.calm} windows a row without drift, {arguments.moved} under a shift; "
        f"{arguments.theirs} for Evidently.",
        "### Without drift: share of windows that alarm",
        "\n".join(false_alarms(bench, pools)),
        "### Under a shift: share of windows that alarm",
        "\n".join(power(bench, pools)),
        "### Estimated accuracy: mean absolute error in points, n = 1000",
        "\n".join(accuracies(bench, pools)),
        "### Likely reason: share of windows",
        "\n".join(likely_reasons(bench, pools)),
        f"### Months of hourly windows without drift ({arguments.months}); {MEMORY[0]} of {MEMORY[1]} for an alarm",
        "\n".join(budget(bench, pools, arguments.months)),
    ]
    if not arguments.measure:
        write_marked_part(PAGE, START, END, "\n\n" + "\n\n".join(body) + "\n\n")


if __name__ == "__main__":
    main()
