"""Words for the command line: one that is right for every parameter, and hostile ones of the same kind.

A parameter that is new needs a line in RIGHT; the tests fail until it has one.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import typer
from hypothesis import strategies as st

from resnet_ops.cli import build_app

__all__ = ["COMMANDS", "RIGHT", "Changed", "Word", "lines"]


@dataclass(frozen=True)
class Changed:
    """A copy of a file of the project, with bytes put in place of some of its own, and cut where told."""

    file: str
    at: float
    put: bytes
    cut: bool


Word = str | Changed


@dataclass(frozen=True)
class Parameter:
    """`right`: words that a user may mean; `kind`: which hostile ones stand beside them."""

    kind: str
    right: tuple[str, ...]


TEXTS = [
    *("", " ", "-", "--", ".", "..", "/", "a/b", "a:b", "@", "@@champion", "models:/x@y", "*", "[", "{0}"),
    *("%", "%s", "_", "'", '"', "' OR '1'='1", "`", "\\", "$(id)", "None", "null", "stage Production"),
    *("champi\u043en", "champion\u200b", "\uff43hampion", "CHAMPİON", "\u202enoipmahc", "e\u0301", "😀"),
    *("a\nb", "\x1b[2J\x1b]0;owned\x07", "\x7f", "\x9b2J", "\t", "[bold]x[/bold]", "[/]", "[link=x]y[/link]"),
    *("x" * 64, "x" * 300, "x" * 5_000, "../../../x", "digits-classifier/1", "\udcff", "a\udc80b", "\ufeff"),
]
NUMBERS = [
    *("", "+2", " 2", "2 ", "02", "２", "²", "1_0", "0x1", "2.0", "1e0", "-1", "0", "1e400", "-1e400", "NaN"),
    *("inf", "-inf", "2147483648", "9223372036854775808", "1" * 30, "9" * 5_000, "true", "1e300", "99999"),
]
MOMENTS = [
    *("", "now", "0d", "-1d", "99999d", "9d9h", "９d", "2026-02-30", "2026-01-31", "2026-01-05T08:00", "NaT"),
    *("0001-01-01T00:00Z", "9999-12-31T23:59:59-23:59", "0001-01-01T00:00+23:59", "2026-01-05T08:00+99:00"),
]
HOSTS = ["", " ", "a..b", "x" * 64, "x" * 300, "256.1.1.1", "[", "::", "127.0.0.1\n", "\x00"[:0], "é" * 70]
KEY_IDS = ["", "0" * 8, "0" * 64, "0" * 65, "%", "_" * 8, "KEY_KIM\n"]
# what a hostile file holds is in command_scene.py; a place to write never leaves the project's folder
FILES = [
    *(
        "",
        ".",
        "..",
        "missing",
        "hostile/folder",
        "hostile/link",
        "hostile/loop",
        "labels.csv/below",
        "x" * 300,
    ),
    *("/proc/self/mem", "/dev/null", "\udcff", "hostile/\udcff", "hostile/[x]", "a\nb", "\x1b[2J"),
    *(
        f"hostile/{name}"
        for name in ("empty", "utf16", "latin1", "nul", "deep.json", "deep.yaml", "twice.json")
    ),
    *(f"hostile/{name}" for name in ("twice.yaml", "aliases.yaml", "nan.json", "numbers.json", "list.json")),
    *(
        f"hostile/{name}"
        for name in ("scalar.yaml", "huge.yaml", "rsa.pem", "private.pem", "certificate.pem")
    ),
    *(f"hostile/{name}" for name in ("other.parquet", "about.parquet", "ids.csv", "ragged.csv", "long.csv")),
]
FOLDERS = [
    "",
    ".",
    "missing",
    "labels.csv",
    "hostile/folder",
    "hostile/model",
    "hostile/links",
    "x" * 300,
    "\udcff",
]
PLACES = [
    "",
    ".",
    "missing/new",
    "labels.csv",
    "labels.csv/below",
    "hostile/folder",
    "x" * 300,
    "\udcff",
    "a\nb",
]
REPORTS = [*PLACES, "hostile/reports", *(f"hostile/reports-{number}" for number in range(6))]
HOSTILE: dict[str, Sequence[str]] = {
    **{"text": TEXTS, "number": NUMBERS, "moment": MOMENTS, "host": HOSTS, "key id": KEY_IDS},
    **{"file": FILES, "folder": FOLDERS, "place": PLACES, "reports": REPORTS},
}

RIGHT = {
    "model": Parameter("text", ("digits-classifier",)),
    "version": Parameter("number", ("1", "2")),
    "versions": Parameter("number", ("1", "2")),
    "alias": Parameter("text", ("champion", "@champion", "challenger", "Production")),
    "until": Parameter("moment", ("14d", "6h")),
    "key": Parameter("text", ("kim", "olga", "pipeline")),
    "rule": Parameter("text", ("accuracy",)),
    "why": Parameter("text", ("it reads sevens as ones",)),
    "comment": Parameter("text", ("seen",)),
    "role": Parameter("text", ("reviewer",)),
    "name": Parameter("text", ("lee",)),
    "weights": Parameter("folder", ("models/seed0", "models/seed1")),
    "measurements": Parameter("file", ("measurements.json",)),
    "limit": Parameter("number", ("5",)),
    "format": Parameter("text", ("jsonl", "csv")),
    "out": Parameter("place", ("ledger.jsonl",)),
    "output": Parameter("place", ("card.md", "card.html", "portfolio.html")),
    "artifacts": Parameter("place", ("var/artifacts",)),
    "head": Parameter("key id", ("HEAD",)),
    "every": Parameter("number", ("0.1",)),
    "true": Parameter("number", ("0.99",)),
    "confidence": Parameter("number", ("0.95",)),
    "power": Parameter("number", ("0.8",)),
    "host": Parameter("host", ("127.0.0.1",)),
    "port": Parameter("number", ("5099",)),
    "window": Parameter("text", ("calm",)),
    "since": Parameter("moment", ("2026-01-05T08:00Z",)),
    "reference": Parameter("file", ("data/reference/reference.parquet",)),
    "params": Parameter("file", ("params.yaml",)),
    "data": Parameter("folder", ("data/prepared",)),
    "reports": Parameter("reports", ("reports/drift",)),
    "drift comment text": Parameter("text", ("the lens is dirty",)),
    "drift judge until": Parameter("moment", ("2026-01-05T08:10Z",)),
    "metrics": Parameter("place", ("metrics.prom",)),
    "attest evidence metrics": Parameter("file", ("metrics.json",)),
    "predictions": Parameter("file", ("predictions.csv",)),
    "truth": Parameter("file", ("boxes.json",)),
    "source": Parameter("file", ("boxes.json",)),
    "answers": Parameter("file", ("detections.json",)),
    "classes": Parameter("text", ("cat,dog",)),
    "faults": Parameter("text", ("refuse", "drop", "clip")),
    "threshold": Parameter("number", ("0.5",)),
    "aim": Parameter("text", ("f1", "recall", "precision")),
    "at_least": Parameter("number", ("0.1",)),
    "log export folder": Parameter("place", ("exported",)),
    "log purge before": Parameter("moment", ("2026-01-01T00:00Z",)),
    "log label by": Parameter("text", ("ada",)),
    "log export until": Parameter("moment", ("2026-01-05T08:10Z",)),
    "keys revoke key": Parameter("key id", ("KEY_KIM", "KEY_PIPELINE")),
    "keys trust file": Parameter("file", ("var/keys/lee.pub.pem", "var/keys/kim.pub.pem")),
    "log label file": Parameter("file", ("labels.csv",)),
    "serve start uri": Parameter("text", ("models:/digits-classifier@champion",)),
    "score uri": Parameter("text", ("models:/digits-classifier@champion",)),
    "score images": Parameter("folder", ("models",)),
    "score source": Parameter("text", ("line 7",)),
    "score group": Parameter("text", ("seed[0-9]",)),
    "score log": Parameter("text", ("sqlite:///var/inference.db",)),
    "serve start log": Parameter("text", ("sqlite:///var/inference.db",)),
    "log serve log": Parameter("text", ("sqlite:///var/inference.db",)),
    "traffic group": Parameter("text", ("seed[0-9]",)),
    "serve status url": Parameter("text", ("http://127.0.0.1:9",)),
    "traffic folder": Parameter("folder", ("models",)),
    "traffic url": Parameter("text", ("http://127.0.0.1:9",)),
    "requests": Parameter("number", ("2",)),
    "rate": Parameter("number", ("1000",)),
    "sources": Parameter("number", ("2",)),
    "corruption": Parameter("text", ("fog",)),
    "severity": Parameter("number", ("3",)),
    "after": Parameter("number", ("0.5",)),
    "label_delay": Parameter("number", ("0",)),
    "embed model": Parameter("text", ("models/seed0", "models:/digits-classifier@champion")),
    "images": Parameter("folder", ("models",)),
    "device": Parameter("text", ("cpu",)),
    "into": Parameter("place", ("project",)),
    "group": Parameter("text", ("auto", "none")),
    "positive": Parameter("text", ("defect",)),
    "minutes": Parameter("number", ("1",)),
    "similar_classes": Parameter("text", ("ask", "keep")),
    "seed": Parameter("number", ("0",)),
    "project": Parameter("folder", (".",)),
    "models": Parameter("text", ("digits-classifier",)),
    "adopt folder": Parameter("place", ("policies",)),
    "policy init folder": Parameter("place", ("policies",)),
    "registry onnx file": Parameter("place", ("model.onnx",)),
    "policy apply file": Parameter("file", ("policy.yaml", "stricter.yaml")),
    "policy power file": Parameter("file", ("policy.yaml", "stricter.yaml")),
    "policy diff file": Parameter("file", ("policy.yaml", "stricter.yaml")),
    "gate simulate file": Parameter("file", ("policy.yaml", "stricter.yaml")),
}
ENDLESS = {"follow"}
"""Flags with which a command stays."""


def _commands(command: Any, words: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    if hasattr(command, "commands"):
        for name, child in command.commands.items():
            if not child.hidden:
                yield from _commands(child, (*words, name))
    else:
        yield " ".join(words), command


COMMANDS: dict[str, Any] = dict(_commands(typer.main.get_command(build_app())))


def parameter(command: str, name: str) -> Parameter:
    """What is known of a parameter; KeyError for one that nobody described."""
    return RIGHT.get(f"{command} {name}") or RIGHT[name]


def _hostile(known: Parameter) -> st.SearchStrategy[Word]:
    listed: st.SearchStrategy[Word] = st.sampled_from(HOSTILE[known.kind])
    if known.kind in ("text", "moment", "number"):
        # no process can be given a NUL
        return listed | st.text(st.characters(exclude_characters="\0"), max_size=20)
    if known.kind == "file":
        changes = st.builds(
            Changed, st.sampled_from(known.right), st.floats(0, 1), st.binary(max_size=4), st.booleans()
        )
        return listed | changes
    return listed


@st.composite
def lines(draw: st.DrawFn, command: str) -> list[Word]:
    """A command line: some of its words right, some hostile."""
    options: list[Word] = []
    arguments: list[Word] = []
    for each in COMMANDS[command].params:
        if getattr(each, "is_flag", False):
            if each.name not in ENDLESS and draw(st.booleans()):
                options.append(each.opts[0])
            continue
        if not each.required and draw(st.booleans()):
            continue
        known = parameter(command, each.name)
        right = st.sampled_from(known.right)
        word = draw(right if draw(st.booleans()) else _hostile(known))
        if each.param_type_name == "argument":
            arguments.append(word)
        else:
            options += [each.opts[0], word]
    return [*command.split(), *options, *draw(st.sampled_from([[], ["--"]])), *arguments]
