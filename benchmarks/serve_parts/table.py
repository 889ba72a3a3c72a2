"""The rows of benchmarks/serve.py as tables for benchmarks/RESULTS.md."""

import statistics
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from benchmarks.serve_parts.rounds import BARE, NOMINAL, WAIT
from benchmarks.serve_parts.servers import LOGGED, OURS

__all__ = ["tables"]

Row = dict[str, Any]
_HEADS = (
    *("asked/s", "answered/s", "503", "others", "p50, ms", "p99, ms"),
    *("p99 / nominal", "clients late, ms", "MiB before, after"),
)


def tables(rows: Sequence[Row], equal_p99: float) -> Iterator[str]:
    """Lines. equal_p99: in ms; rates are compared at the most clients with which a server keeps to it."""
    for device in dict.fromkeys(row["device"] for row in rows):
        mine = [row for row in rows if row["device"] == device]
        yield from _compared([row for row in mine if row["of"] == "compared"], device, equal_p99)
        yield from (
            f"{row['name']} was not measured: {row['why']}." for row in mine if row["of"] == "left out"
        )
        yield ""
        yield from _overload(mine, device)


def _compared(rows: Sequence[Row], device: str, equal_p99: float) -> Iterator[str]:
    if not rows:
        return
    of = {name: {row["round"]: row for row in rows if row["name"] == name} for name in _names(rows)}
    rates = {
        name: {number: _rate_at(row, equal_p99) for number, row in found.items()}
        for name, found in of.items()
    }
    most = {
        name: {number: max(row["rate"].values()) for number, row in found.items()}
        for name, found in of.items()
    }
    yield (
        f"| {device} | answers/s at p99 of at most {equal_p99:g} ms | ours / this (range) | answers/s at most "
        "| ours / this (range) | one client alone, p50, ms |"
    )
    yield "|---|---|---|---|---|---|"
    for name, found in of.items():
        alone = statistics.median(row["alone"] for row in found.values())
        cells = (
            _middle(rates[name]),
            _ratio(rates[OURS], rates[name]),
            _middle(most[name]),
            _ratio(most[OURS], most[name]),
        )
        yield f"| {name} (n = {len(found)}) | {' | '.join(cells)} | {alone:.2f} |"
    yield ""
    if LOGGED in most:
        cost = [1 - 1 / each for each in _ratios(most[OURS], most[LOGGED])]
        yield f"Logging costs {_percent(cost)} of the answers/s at most. "
    ours, bare = of.get(OURS, {}), of.get(BARE, {})
    raw = {number: row["raw"] for number, row in ours.items() if "raw" in row}
    yield from _alone("A request alone", ours, bare)
    yield from _alone("One with a raw array", raw, bare)


def _alone(what: str, ours: dict[int, Row], bare: dict[int, Row]) -> Iterator[str]:
    more = [row["alone"] - bare[number]["alone"] for number, row in ours.items() if number in bare]
    around = [row["around"] for row in ours.values() if "around" in row]
    if more and around:
        yield (
            f"{what} takes {_spread(more)} ms more than the model in a tight loop, and on average {_spread(around)} ms "
            "more than the model's own work on it in the server."
        )


def _spread(found: Sequence[float]) -> str:
    return f"{statistics.median(found):.2f} ({min(found):.2f}-{max(found):.2f})"


def _overload(rows: Sequence[Row], device: str) -> Iterator[str]:
    nominal = [row for row in rows if row["of"] == "nominal"]
    over = [row for row in rows if row["of"] == "overloaded"]
    if not nominal:
        return
    capacity, usual = nominal[0]["capacity"], statistics.median(row["p99"] for row in nominal)
    yield (
        f"{device}, overload: capacity {capacity:,.0f}/s; nominal is an open loop at {NOMINAL:.0%} of it "
        f"(n = {len(nominal)}); p99 there is {usual:.1f} ms, of which max_wait_ms is {WAIT:g}."
    )
    yield ""
    yield f"| | {' | '.join(_HEADS)} |"
    yield "|---" * (len(_HEADS) + 1) + "|"
    for name, row in [*(("nominal", row) for row in nominal), *(("twice the capacity", row) for row in over)]:
        numbers = f"{row['asked']:,.0f} | {row['rate']:,.0f} | {row['refused']:,} | {row['others']:,}"
        times = f"{row['p50']:.1f} | {row['p99']:.1f} | {row['p99'] / usual:.2f} | {row['late']:.1f}"
        yield f"| {name} | {numbers} | {times} | {row['MiB'][0]:.0f}, {row['MiB'][1]:.0f} |"
    yield ""


def _names(rows: Iterable[Row]) -> list[str]:
    found = dict.fromkeys(row["name"] for row in rows)
    return sorted(found, key=lambda name: (name != OURS, name != LOGGED, name == BARE, name))


def _rate_at(row: Row, equal_p99: float) -> float:
    """0 where no number of clients kept to it; the bare loop has no clients."""
    late = row.get("p99", {})
    return max(
        (rate for count, rate in row["rate"].items() if late.get(count, 0.0) <= equal_p99), default=0.0
    )


def _ratios(ours: dict[int, float], other: dict[int, float]) -> list[float]:
    """Paired by round."""
    return sorted(ours[number] / other[number] for number in other if number in ours and other[number])


def _ratio(ours: dict[int, float], other: dict[int, float]) -> str:
    found = _ratios(ours, other)
    return f"{statistics.median(found):.2f} ({found[0]:.2f}-{found[-1]:.2f})" if found else "-"


def _middle(found: dict[int, float]) -> str:
    return f"{statistics.median(found.values()):,.0f}"


def _percent(found: Sequence[float]) -> str:
    return f"{statistics.median(found):.1%} ({min(found):.1%} to {max(found):.1%})" if found else "-"
