"""Great Expectations on the prepared manifest, before anything is trained on it."""

import importlib
import logging
import os
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from resnet_ops.errors import DataError
from resnet_ops.extras import require
from resnet_ops.files import write_text
from resnet_ops.page import document, table
from resnet_ops_monitoring.settings.manifest import ManifestParams

__all__ = [
    "Level",
    "ManifestCheck",
    "ManifestReport",
    "Rule",
    "check_manifest",
    "expectations",
    "one_of",
    "quiet",
    "within",
]

_COLUMNS = ("index", "path", "label", "class_name", "split", "sha256", "width", "height")
Level = Literal["critical", "warning"]


@dataclass(frozen=True)
class ManifestCheck:
    """One rule: what it asks in words, whether it held, and what was found where it did not."""

    level: Level
    rule: str
    held: bool
    found: str


@dataclass(frozen=True)
class ManifestReport:
    """All rules, in order. The pipeline stops at a critical failure; warnings are for people."""

    rows: int
    checks: tuple[ManifestCheck, ...]

    @property
    def failures(self) -> tuple[ManifestCheck, ...]:
        """Critical rules that did not hold."""
        return tuple(check for check in self.checks if not check.held and check.level == "critical")

    @property
    def warnings(self) -> tuple[ManifestCheck, ...]:
        """Other rules that did not hold."""
        return tuple(check for check in self.checks if not check.held and check.level == "warning")

    def require(self) -> None:
        """Raise DataError that lists every critical failure, if there is one."""
        if self.failures:
            listed = "; ".join(f"{check.rule}: {check.found}" for check in self.failures)
            raise DataError(f"The prepared data failed {len(self.failures)} critical checks. {listed}")

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready content."""
        checks = [{"level": c.level, "rule": c.rule, "held": c.held, "found": c.found} for c in self.checks]
        return {"rows": self.rows, "passed": not self.failures, "checks": checks}

    def write_html(self, path: Path, more: str = "") -> None:
        """Write the report as one page without outside addresses, atomically. more: HTML below the rules."""
        tone, title = (
            "good",
            f"The data may be trained on: {len(self.checks)} rules checked on {self.rows:,} images",
        )
        if self.failures:
            tone, title = "bad", f"Stopped: {len(self.failures)} critical rules do not hold"
        elif self.warnings:
            warned = "a warning" if len(self.warnings) == 1 else f"{len(self.warnings)} warnings"
            tone, title = "unknown", f"The data may be trained on, with {warned}"
        todo = "".join(
            f"<li>{escape(c.rule)}: {escape(c.found)}</li>" for c in (*self.failures, *self.warnings)
        )
        rows = [
            (
                "" if check.held else ("hit" if check.level == "critical" else "note"),
                [check.rule, check.level, "holds" if check.held else "does not hold", check.found],
            )
            for check in self.checks
        ]
        columns = [("Rule", False), ("Level", False), ("Result", False), ("Found", False)]
        body = (
            f'<section class="verdict {tone}"><h1>{escape(title)}</h1>{f"<ul>{todo}</ul>" if todo else ""}</section>'
            f"<h2>All rules</h2>{table(columns, rows)}{more}"
            '<p class="soft small">Checked with Great Expectations.</p>'
        )
        write_text(path, document("Data validation", body))


@dataclass(frozen=True)
class Rule:
    """What is asked of Great Expectations, in words too, and how its answer is said."""

    words: str
    expectation: Any
    describe: Callable[[dict[str, Any]], str]
    level: Level = "critical"


def one_of(column: str, values: Iterable[object]) -> Any:
    """The expectation that a column holds no other values."""
    return expectations().ExpectColumnValuesToBeInSet(column=column, value_set=list(values))


def within(column: str, least: float | None = None, most: float | None = None) -> Any:
    """The expectation that a column's values lie between two bounds, or on one side of one."""
    return expectations().ExpectColumnValuesToBeBetween(column=column, min_value=least, max_value=most)


def check_manifest(
    manifest: pd.DataFrame,
    classes: tuple[str, ...],
    splits: tuple[str, ...],
    params: ManifestParams,
    labelled: tuple[str, ...] | None = None,
) -> ManifestReport:
    """Check a prepared manifest (columns as in `resnet_ops.data.ManifestRow`).

    classes: the data set's class names, by label. splits: those that must be there. labelled: the classes that
    must be in each, None for all. Too few rows is reported alone, since an empty table passes almost every other rule.
    Raises DataError when columns are missing.
    """
    missing = [name for name in _COLUMNS if name not in manifest.columns]
    if missing:
        raise DataError(
            f"The manifest lacks the columns {', '.join(missing)}. Prepare the data again: dvc repro"
        )
    frame = _with_cross_row_columns(manifest)
    rules = _rules(frame, classes, splits, params, classes if labelled is None else labelled)
    if len(frame) < params.min_rows:
        rules = rules[:1]
    results = _run(frame, [rule.expectation for rule in rules])
    checks = [
        ManifestCheck(rule.level, rule.words, success, "" if success else rule.describe(result))
        for rule, (success, result) in zip(rules, results, strict=True)
    ]
    return ManifestReport(len(frame), tuple(checks))


def _with_cross_row_columns(manifest: pd.DataFrame) -> pd.DataFrame:
    """Rules across rows as columns, so that they are ordinary expectations on pandas."""
    frame = manifest.copy()
    frame["splits_of_image"] = frame.groupby("sha256")["split"].transform("nunique")
    frame["copies_in_split"] = frame.groupby(["sha256", "split"])["path"].transform("size")
    sizes = frame.groupby("class_name")["path"].transform("size")
    frame["class_ratio"] = sizes / max(sizes.min(), 1)
    frame["labels_of_image"] = frame.groupby("sha256")["label"].transform("nunique")
    return frame


def _rules(
    frame: pd.DataFrame,
    classes: tuple[str, ...],
    splits: tuple[str, ...],
    params: ManifestParams,
    labelled: tuple[str, ...],
) -> list[Rule]:
    gxe = expectations()

    def values(result: dict[str, Any]) -> str:
        examples = ", ".join(dict.fromkeys(str(value) for value in result.get("partial_unexpected_list", [])))
        return (
            f"{result.get('unexpected_count', 'all')} rows, for example {examples[:200] or 'without value'}"
        )

    def example(column: str) -> Callable[[dict[str, Any]], str]:
        found = frame[frame[column] > 1]["path"]
        return lambda result: f"{len(found)} images, for example {', '.join(map(str, found[:4]))}"

    cells = [f"{name} in {split}" for split in splits for name in labelled]
    number_in = frame["class_name"].astype(str) + " in " + frame["split"].astype(str)
    frame["enough"] = number_in.where(number_in.groupby(number_in).transform("size") >= params.min_class_rows)
    counts = number_in.value_counts()
    few = [f"{cell}: {counts.get(cell, 0)}" for cell in cells if counts.get(cell, 0) < params.min_class_rows]
    return [
        Rule(
            f"at least {params.min_rows} images",
            gxe.ExpectTableRowCountToBeBetween(min_value=params.min_rows),
            lambda result: f"{len(frame)} images",
        ),
        *(
            Rule(f"no empty {name}", gxe.ExpectColumnValuesToNotBeNull(column=name), values)
            for name in _COLUMNS
        ),
        Rule("labels known", one_of("label", range(len(classes))), values),
        Rule("classes known", one_of("class_name", classes), values),
        Rule("splits known", one_of("split", splits), values),
        Rule(
            "sha256 well formed",
            gxe.ExpectColumnValuesToMatchRegex(column="sha256", regex="^[0-9a-f]{64}$"),
            values,
        ),
        *(Rule(f"{side} positive", within(side, least=1), values) for side in ("width", "height")),
        Rule(
            "no image in two splits (leakage)",
            within("splits_of_image", most=1),
            example("splits_of_image"),
        ),
        Rule("no image with two labels", within("labels_of_image", most=1), example("labels_of_image")),
        Rule(
            "no image twice in a split",
            within("copies_in_split", most=1),
            example("copies_in_split"),
            "warning",
        ),
        Rule(
            f"no class more than {params.max_class_ratio:g} times as large as the smallest",
            gxe.ExpectColumnMaxToBeBetween(column="class_ratio", max_value=params.max_class_ratio),
            lambda result: _imbalance(frame["class_name"].value_counts()),
            "warning",
        ),
        Rule(
            f"every class at least {params.min_class_rows} times in every split",
            gxe.ExpectColumnDistinctValuesToContainSet(column="enough", value_set=cells),
            lambda result: "; ".join(few[:8]) + (f"; and {len(few) - 8} more" if len(few) > 8 else ""),
        ),
    ]


def _imbalance(sizes: "pd.Series[int]") -> str:
    """How unequal classes are, and what may be done. sizes: images of each class, by name."""
    if sizes.empty:
        return "no image has a class"
    largest, smallest = sizes.idxmax(), sizes.idxmin()
    return (
        f"the largest class ({largest}) has {sizes[largest]:,} images, the smallest ({smallest}) {sizes[smallest]:,} "
        f"({sizes[largest] / sizes[smallest]:.3g} : 1). Set recipes.<name>.imbalance, see "
        "docs/training.md#rare-classes; recall by class with its number of images is on the model card"
    )


@contextmanager
def quiet() -> Iterator[None]:
    """Great Expectations without telemetry, and without its warnings about other libraries."""
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def expectations() -> Any:
    """Great Expectations' classes. Raises ConfigError where it is not installed."""
    require("A check of data", "great_expectations")
    with quiet():
        return importlib.import_module("great_expectations.expectations")


def _run(frame: pd.DataFrame, expectations: list[Any]) -> list[tuple[bool, dict[str, Any]]]:
    """(held, Great Expectations' result) for each expectation, in order."""
    with quiet():
        import great_expectations as gx
        from great_expectations.data_context.types.base import ProgressBarsConfig

        logging.getLogger("great_expectations").setLevel(logging.ERROR)
        context = gx.get_context(mode="ephemeral")
        context.variables.progress_bars = ProgressBarsConfig(globally=False)
        asset = context.data_sources.add_pandas("pandas").add_dataframe_asset("manifest")
        batch = asset.add_batch_definition_whole_dataframe("all").get_batch(
            batch_parameters={"dataframe": frame}
        )
        outcomes = [batch.validate(expectation) for expectation in expectations]
    return [(bool(outcome.success), dict(outcome.result)) for outcome in outcomes]
