"""A JSON file of metrics that a team measured: read as it stands, or refused with file, metric and what to do."""

import json
from pathlib import Path

import pytest

from resnet_ops.errors import DataError
from resnet_ops_registry.attestations.evidence import Metric
from resnet_ops_registry.attestations.metrics_file import MAX_BYTES, read_metrics

ONE = '"value": 1, "n": 3'


def read(folder: Path, text: str | bytes) -> dict[str, Metric]:
    file = folder / "metrics.json"
    file.write_bytes(text if isinstance(text, bytes) else text.encode(errors="surrogatepass"))
    return read_metrics(file)


def test_metrics_are_read_with_what_is_known_of_each(tmp_path: Path) -> None:
    full = {"value": 0.95, "n": 360, "low": 0.92, "high": 0.97, "method": "wilson 0.95", "unit": "fraction"}
    found = read(tmp_path, json.dumps({"test.top1": full, "rmse": {"value": 3, "n": 12}}))
    assert found == {"test.top1": Metric(**full), "rmse": Metric(value=3, n=12)}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"acc": 0.95}', "metric 'acc' is a bare value, which does not say how many"),
        ('{"acc": [1, 2]}', "metric 'acc' is a bare value"),
        ('{"acc": {"value": 1}}', "metric 'acc' is wrong (n: Field required)"),
        ('{"acc": {"n": 1}}', "metric 'acc' is wrong (value: Field required)"),
        ('{"acc": {"value": NaN, "n": 1}}', "metric 'acc' is wrong (value: Input should be a finite number)"),
        ('{"acc": {"value": 1e400, "n": 1}}', "metric 'acc' is wrong (value: Input should be a finite"),
        (f'{{"acc": {{{ONE}, "high": -Infinity}}}}', "metric 'acc' is wrong (high: Input should be a finite"),
        ('{"acc": {"value": true, "n": 1}}', "metric 'acc' is wrong (value: Input should be a valid number)"),
        ('{"acc": {"value": "1", "n": 1}}', "metric 'acc' is wrong (value: Input should be a valid number)"),
        ('{"acc": {"value": {"x": 1}, "n": 1}}', "metric 'acc' is wrong (value: "),
        ('{"acc": {"value": 1, "n": 0}}', "metric 'acc' is wrong (n: Input should be greater than 0)"),
        ('{"acc": {"value": 1, "n": 3.0}}', "metric 'acc' is wrong (n: Input should be a valid integer)"),
        ('{"acc": {"value": 1, "n": true}}', "metric 'acc' is wrong (n: Input should be a valid integer)"),
        (f'{{"acc": {{{ONE}, "ci": 1}}}}', "metric 'acc' has an unknown field 'ci'"),
        (f'{{"acc": {{{ONE}, "low": 2, "high": 1}}}}', "metric 'acc' is wrong (low must not exceed high)"),
        (f'{{"acc": {{{ONE}, "value": 2}}}}', "metric 'acc' has a field twice. Keep one"),
        (f'{{"acc": {{{ONE}}}, "acc": {{{ONE}}}}}', "metric 'acc' stands there twice. Keep one"),
        (
            f'{{"acc": {{{ONE}, "unit": "\\ud800"}}}}',
            "the unit of the metric 'acc' is too long or no plain text",
        ),
        (f'{{"acc": {{{ONE}, "method": "{"x" * 101}"}}}}', "the method of the metric 'acc' is too long"),
        (f'{{"": {{{ONE}}}}}', "'' is no name for a metric"),
        (f'{{"a\\u001b[2J": {{{ONE}}}}}', r"'a\x1b[2J' is no name for a metric"),
        (f'{{"\\ud800": {{{ONE}}}}}', "is no name for a metric"),
        (f'{{"{"x" * 251}": {{{ONE}}}}}', "is no name for a metric"),
        ("{}", "holds no metrics. Write an object by metric name"),
        ("[]", "holds no metrics"),
        ("null", "holds no metrics"),
        ("", "is not valid JSON"),
        ("[" * 100_000, "is not valid JSON"),
        ('{"acc": {"value": ' + "9" * 5_000 + ', "n": 1}}', "is not valid JSON"),
        (b'{"\xff": 1}', "is not valid JSON"),
        (" " * (MAX_BYTES + 1), "has more than 1,000,000 bytes"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_could_be_read_in_two_ways_is_refused_in_one_line(
    tmp_path: Path, text: str | bytes, said: str
) -> None:
    with pytest.raises(DataError) as caught:
        read(tmp_path, text)
    message = str(caught.value)
    assert said in message
    assert str(tmp_path / "metrics.json") in message
    assert "\n" not in message
    assert "\x1b" not in message
    assert len(message) < 1000


@pytest.mark.parametrize("name", ["missing.json", ".", "x" * 300])
def test_what_is_no_file_is_refused_with_its_name(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match=r"cannot be read: .*Name a JSON file of metrics"):
        read_metrics(tmp_path / name)
