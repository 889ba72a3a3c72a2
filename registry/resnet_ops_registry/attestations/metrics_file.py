"""Metrics that a team measured itself, in a JSON file: by name an object with value, n, and its interval."""

import json
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from resnet_ops.errors import DataError
from resnet_ops_registry.attestations.evidence import Metric

__all__ = ["read_metrics"]

MAX_BYTES = 1_000_000
LONGEST_NAME = 250
"""As in a policy's rule `threshold`."""
LONGEST_TEXT = 100
_FORM = '{"value": 0.95, "n": 360, "low": 0.92, "high": 0.97, "method": "wilson 0.95"}'


def read_metrics(file: Path) -> dict[str, Metric]:
    """By name; value and n of each must be there, and low, high, method and unit may be.

    Raises DataError that names the file, the metric and what to write, for anything that could be read in two ways.
    """
    content = _parse(file)
    if not isinstance(content, tuple) or not content:
        raise DataError(f'{file} holds no metrics. Write an object by metric name: {{"test.top1": {_FORM}}}')
    metrics: dict[str, Metric] = {}
    for name, fields in content:
        if name in metrics:
            raise DataError(f"{file}: the metric {name!r} stands there twice. Keep one of them.")
        metrics[name] = _metric(file, name, fields)
    return metrics


def _parse(file: Path) -> Any:
    """The content, each object as a tuple of its pairs, so that a key that occurs twice is seen."""
    try:
        with file.open("rb") as opened:
            text = opened.read(MAX_BYTES + 1)
    except OSError as error:
        raise DataError(f"{file} cannot be read: {error.strerror}. Name a JSON file of metrics.") from error
    if len(text) > MAX_BYTES:
        raise DataError(
            f"{file} has more than {MAX_BYTES:,} bytes, too much to sign. Leave out what no rule asks for."
        )
    try:
        return json.loads(text, object_pairs_hook=tuple)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{file} is not valid JSON ({error}). Write an object by metric name.") from error


def _metric(file: Path, name: str, fields: Any) -> Metric:
    if not (0 < len(name) <= LONGEST_NAME and name.isprintable()):
        raise DataError(
            f"{file}: {name[:LONGEST_NAME]!r} is no name for a metric. Use 1 to {LONGEST_NAME} printable signs, such "
            "as test.top1."
        )
    if not isinstance(fields, tuple):
        raise DataError(
            f"{file}: the metric {name!r} is a bare value, which does not say how many images or rows it rests on. "
            f"Write {_FORM}"
        )
    given = dict(fields)
    if len(given) < len(fields):
        raise DataError(f"{file}: the metric {name!r} has a field twice. Keep one of them.")
    if unknown := [field for field in given if field not in Metric.model_fields]:
        raise DataError(
            f"{file}: the metric {name!r} has an unknown field {unknown[0][:100]!r}. Write {_FORM}"
        )
    for field in ("method", "unit"):
        text = given.get(field)
        if isinstance(text, str) and not (len(text) <= LONGEST_TEXT and text.isprintable()):
            raise DataError(
                f"{file}: the {field} of the metric {name!r} is too long or no plain text. Use at most {LONGEST_TEXT} "
                "printable signs."
            )
    try:
        return Metric.model_validate(given, strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        what = f"{where}: {first['msg']}" if where else first["msg"].removeprefix("Value error, ")
        raise DataError(f"{file}: the metric {name!r} is wrong ({what}). Write {_FORM}") from error
