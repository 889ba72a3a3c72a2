"""A model card's sections on what a model costs: latency, memory and energy by device profile, size, hardware."""

import re

from resnet_ops_registry.attestations.evidence import Evidence, show_metric
from resnet_ops_registry.cards.parts import (
    NOT_MEASURED,
    Fact,
    Row,
    Section,
    Table,
    measured_table,
    number,
)

__all__ = ["hardware", "headline_speed", "noisy", "profiles", "size", "speed"]

ONE_IMAGE = (
    ("latency p50", "latency_p50_ms"),
    ("latency p95", "latency_p95_ms"),
    ("latency p99", "latency_p99_ms"),
)
WHOLE = (
    ("throughput at the best batch", "throughput_ips"),
    ("best batch", "best_batch"),
    ("loading", "load_ms"),
    ("first request", "first_request_ms"),
    ("peak memory", "peak_memory_mb"),
    ("memory taken", "memory_share"),
    ("energy an image", "energy_mj"),
)
_BATCH = re.compile(r"(.+)\.(batch\d+)\.latency_p99_ms", re.DOTALL)


def profiles(evidence: Evidence) -> list[str]:
    """The device profiles on which it was measured."""
    ends = tuple(f".{name}" for _, name in (*ONE_IMAGE, *WHOLE))
    found = {name.rpartition(".")[0] for name in evidence.metrics if name.endswith(ends)}
    return sorted(name for name in found if not re.search(r"\.batch\d+$", name))


def noisy(evidence: Evidence, profile: str) -> str:
    """Whether other work ran on the machine while it was measured: `no`, `yes` or `not known`."""
    told = evidence.hardware.get(profile, {}).get("interference")
    return {True: "yes", False: "no"}.get(told, "not known") if isinstance(told, bool) else "not known"


def headline_speed(evidence: Evidence) -> tuple[Fact, ...]:
    found = evidence.metrics
    facts = []
    for profile in profiles(evidence):
        mark = {
            "yes": "measured on a busy machine",
            "no": "",
            "not known": "perhaps measured on a busy machine",
        }
        memory = number(found.get(f"{profile}.peak_memory_mb"))
        more = "; ".join(filter(None, (f"memory {memory}", mark[noisy(evidence, profile)])))
        facts.append(
            Fact(f"p99 of one image, {profile}", number(found.get(f"{profile}.latency_p99_ms")), more)
        )
    parameters = found.get("size.parameters")
    more = number(parameters) if parameters else ""
    return (*facts, Fact("size of the file", number(found.get("size.bytes")), more))


def speed(evidence: Evidence) -> Section:
    names, found = profiles(evidence), evidence.metrics
    if not names:
        return Section("Speed, memory, energy", notes=(f"{NOT_MEASURED.capitalize()}.",))
    batches = sorted(
        {match[2] for name in found if (match := _BATCH.fullmatch(name))}, key=lambda b: int(b[5:])
    )
    measures = [
        *ONE_IMAGE,
        *((f"p99 of {batch[5:]} images at once", f"{batch}.latency_p99_ms") for batch in batches),
        *WHOLE,
    ]
    rows = [Row((words, *(_cell(evidence, profile, name) for profile in names))) for words, name in measures]
    marks = [noisy(evidence, profile) for profile in names]
    rows.append(Row(("noisy while measured", *marks), "" if set(marks) == {"no"} else "note"))
    columns = (("one image at a time, unless stated", False), *((name, True) for name in names))
    return Section("Speed, memory, energy", table=Table(columns, tuple(rows)))


def _cell(evidence: Evidence, profile: str, name: str) -> str:
    metric = evidence.metrics.get(f"{profile}.{name}")
    if metric is None:
        return "no limit" if name == "memory_share" else NOT_MEASURED
    return show_metric(metric)


def size(evidence: Evidence) -> Section:
    rows = [
        ("file", "size.bytes"),
        ("parameters", "size.parameters"),
        ("arithmetic for one image", "compute.flops"),
    ]
    columns = (("", False), ("measured", True), ("in the evidence", False))
    found = measured_table(evidence.metrics, rows).rows
    shown = tuple(Row((row.cells[0], row.cells[1], row.cells[4])) for row in found)
    return Section("Size", table=Table(columns, shown))


def hardware(evidence: Evidence) -> Section:
    """Every machine that something was measured or trained on."""
    rows = [
        Row(
            (
                name,
                ", ".join(
                    f"{key} {_fact(value)}" for key, value in sorted(told.items()) if value is not None
                ),
            )
        )
        for name, told in sorted(evidence.hardware.items())
    ]
    if not rows:
        return Section("Hardware", notes=("Not known.",))
    return Section("Hardware", table=Table((("for", False), ("machine", False)), tuple(rows)))


def _fact(value: str | float) -> str:
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)
