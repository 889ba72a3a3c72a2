"""How often the champion comparison passes: writes the tables in docs/policies.md.

For pairs of models whose true difference of accuracies is known; nothing is drawn, every outcome has its chance.
(tests/unit/registry/rules/test_paired.py draws pairs, and does the sum without a shortcut.)
"""

import sys
from functools import cache
from pathlib import Path

import numpy as np
from scipy.special import bdtrc, gammaln, xlogy

from resnet_ops.files import write_text
from resnet_ops_registry.rules.paired import bootstrap_p, exact_p

DOCUMENT = Path(__file__).parents[1] / "docs" / "policies.md"
START, END = "<!-- power: begin -->", "<!-- power: end -->"
ALPHA = 0.05
SIZES = (360, 1000, 5000)
CASES = ((0.01, 0.02), (0.01, 0.05), (0.02, 0.02), (0.02, 0.05), (0.02, 0.10), (0.05, 0.10))


@cache
def passes(method: str, won: int, lost: int, n: int, difference: float) -> bool:
    if method == "bootstrap":
        return bootstrap_p(won, lost, n, difference) <= ALPHA
    return exact_p(won, lost, n, difference, ALPHA) <= ALPHA


@cache
def fewest_won(method: str, lost: int, n: int, difference: float) -> int:
    """The fewest wins that pass with so many losses; more wins pass too."""
    low, high = 0, n - lost + 1
    near = max(0, lost + int(n * difference))
    step = 4
    while near + step < high and not passes(method, near + step, lost, n, difference):
        low, step = near + step + 1, step * 2
    high = min(high, near + step)
    while low < high:
        middle = (low + high) // 2
        if passes(method, middle, lost, n, difference):
            high = middle
        else:
            low = middle + 1
    return low


def pass_rate(method: str, n: int, difference: float, disagreement: float, true: float) -> float:
    """The exact chance to pass. disagreement: how often exactly one is right; true: the real difference."""
    lose, win = (disagreement - true) / 2, (disagreement + true) / 2
    spread = 6 * np.sqrt(n * lose) + 6
    losses = np.arange(max(0, int(n * lose - spread)), min(n, int(n * lose + spread)) + 1)
    needed = np.array([fewest_won(method, int(lost), n, difference) for lost in losses])
    rest = n - losses
    enough = np.where(needed == 0, 1.0, bdtrc(np.maximum(needed - 1, 0), rest, win / (1 - lose)))
    enough = np.where(needed > rest, 0.0, enough)
    logs = gammaln(n + 1) - gammaln(losses + 1) - gammaln(rest + 1)
    chances = np.exp(logs + xlogy(losses, lose) + xlogy(rest, 1 - lose))
    return float((chances * enough).sum())


def not_worse_table() -> list[str]:
    lines = [
        "| margin | disagree | n | worse by the margin (must be ≤ 5 %) | as good: passes | better by half the margin |",
        "|---|---|---|---|---|---|",
    ]
    for margin, disagreement in CASES:
        for n in SIZES:
            rates = [
                pass_rate("mcnemar", n, -margin, disagreement, true) for true in (-margin, 0, margin / 2)
            ]
            shown = " | ".join(f"{rate:.2%}" for rate in rates)
            lines.append(f"| {margin:.0%} | {disagreement:.0%} | {n:,} | {shown} |")
    return lines


def better_table() -> list[str]:
    lines = [
        "| disagree | n | as good (must be ≤ 5 %) | better by 1 point | better by 2 points |",
        "|---|---|---|---|---|",
    ]
    for disagreement in (0.02, 0.05, 0.10):
        for n in SIZES:
            rates = [pass_rate("mcnemar", n, 0.0, disagreement, true) for true in (0.0, 0.01, 0.02)]
            shown = " | ".join(f"{rate:.2%}" for rate in rates)
            lines.append(f"| {disagreement:.0%} | {n:,} | {shown} |")
    return lines


def method_table() -> list[str]:
    lines = [
        "| n | margin | disagree | mcnemar: too bad | bootstrap: too bad | mcnemar: as good | bootstrap: as good |",
        "|---|---|---|---|---|---|---|",
    ]
    for n, margin, disagreement in ((100, 0.05, 0.1), (360, 0.02, 0.05), (1000, 0.01, 0.02)):
        rates = [
            pass_rate(method, n, -margin, disagreement, true)
            for true in (-margin, 0)
            for method in ("mcnemar", "bootstrap")
        ]
        shown = " | ".join(f"{rate:.2%}" for rate in rates)
        lines.append(f"| {n:,} | {margin:.0%} | {disagreement:.0%} | {shown} |")
    return lines


def main() -> None:
    text = DOCUMENT.read_text()
    before, rest = text.split(START)
    _, after = rest.split(END)
    tables = [
        f'The chance to pass, summed over all outcomes, with alpha {ALPHA:.0%} and `method: mcnemar`; "disagree" is',
        "how often exactly one of the two models is right. Made by `python benchmarks/comparison_power.py`.",
        "",
        "`mode: not_worse`:",
        "",
        *not_worse_table(),
        "",
        "`mode: better, margin: 0`:",
        "",
        *better_table(),
        "",
        "The two methods:",
        "",
        *method_table(),
    ]
    write_text(DOCUMENT, f"{before}{START}\n" + "\n".join(tables) + f"\n{END}{after}")
    sys.stdout.write(f"{DOCUMENT} is up to date\n")


if __name__ == "__main__":
    main()
