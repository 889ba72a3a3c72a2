"""A file of predictions: read whatever wrote it, or refused with its file, the row and what to do."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from resnet_ops.errors import DataError
from resnet_ops_registry.attestations import predictions_file
from resnet_ops_registry.attestations.predictions_file import PredictionsFile, read_predictions

FULL = "id,actual,predicted,group,p.cat,p.dog,site\nb,cat,cat,g1,0.9,0.1,x\na, dog ,cat,,0.6,0.4,y\n"


def read(folder: Path, content: str | bytes | pa.Table) -> PredictionsFile:
    file = folder / "predictions"
    if isinstance(content, pa.Table):
        pq.write_table(content, file)
    else:
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_predictions(file)


def test_every_column_is_read_in_the_order_of_the_ids(tmp_path: Path) -> None:
    found = read(tmp_path, FULL)
    assert found.classes == ("cat", "dog")
    assert found.ids == ("a", "b")
    assert (found.labels.tolist(), found.predicted.tolist()) == ([1, 0], [0, 0])
    assert found.probabilities is not None
    assert found.probabilities.tolist() == [[0.6, 0.4], [0.9, 0.1]]
    assert found.unread == ("site",)


def test_a_row_without_a_group_is_its_own(tmp_path: Path) -> None:
    found = read(tmp_path, "actual,predicted,group\n" + "a,a,\n" * 3 + "a,a,g\n" * 2)
    assert found.groups is not None
    assert len(np.unique(found.groups[:3])) == 3
    assert len(np.unique(found.groups)) == 4
    assert found.groups[3] == found.groups[4]


@pytest.mark.parametrize(
    "text",
    [
        "actual,predicted\n3,3\n4,3\n",
        "\ufeffactual;predicted\n3;3\n4;3\n",
        "predicted\tactual\r\n3\t3\r\n\r\n3\t4\r\n",
        'actual , "predicted"\n"3",3\n 4 , 3\n',
    ],
)
def test_a_csv_file_is_read_whatever_wrote_it(tmp_path: Path, text: str) -> None:
    found = read(tmp_path, text)
    assert (found.classes, found.labels.tolist(), found.predicted.tolist()) == (("3", "4"), [0, 1], [0, 0])
    assert (found.ids, found.groups, found.probabilities, found.unread) == (None, None, None, ())


@pytest.mark.parametrize(
    "column",
    [
        pa.array(["3", "4"]),
        pa.array(["3", "4"], pa.large_string()),
        pa.array([3, 4], pa.int8()),
        pa.array([3, 4], pa.uint64()),
        pa.DictionaryArray.from_arrays(pa.array([1, 2], pa.int8()), pa.array(["0", "3", "4", "5"])),
        pa.DictionaryArray.from_arrays(pa.array([0, 1], pa.int32()), pa.array([3, 4])),
    ],
    ids=lambda column: str(column.type),
)
def test_a_parquet_file_says_the_same_as_the_csv_file(tmp_path: Path, column: pa.Array) -> None:
    floats = {"p.3": np.array([0.5, 0.25], np.float32), "p.4": np.array([0.5, 0.75])}
    found = read(tmp_path, pa.table({"actual": column, "predicted": ["3", "3"], "id": [7, 8], **floats}))
    assert (found.classes, found.labels.tolist(), found.predicted.tolist()) == (("3", "4"), [0, 1], [0, 0])
    assert found.ids == ("7", "8")
    assert found.probabilities is not None
    assert found.probabilities.tolist() == [[0.5, 0.5], [0.25, 0.75]]


MANY = "a,a,x\n" * 50
REFUSED = {
    "no column": ("actual,pred\na,a\n", "has no column predicted; it has actual, pred"),
    "empty": ("", "has no column actual, predicted; it has none"),
    "header alone": ("actual,predicted\n", "has 0 rows, but must have 1 to 2,000,000"),
    "a value is missing": ("actual,predicted\na,a\na, \n", "row 3 has no predicted"),
    "a value is null": (pa.table({"actual": ["a", None], "predicted": ["a", "a"]}), "row 2 has no actual"),
    "an id is missing": ("id,actual,predicted\n1,a,a\n,a,a\n", "row 3 has no id"),
    "an id twice": ("id,actual,predicted\n1,a,a\n2,a,a\n 1,a,a\n", "row 2 and row 4 have the same id '1'"),
    "a column twice": ("actual,predicted,actual\n1,1,0\n", "has two columns 'actual'"),
    "two kinds of one class": ("actual,predicted\n1,1.0\n0,0.0\n", "no answer is one of the true classes"),
    "no probability of a class": ("actual,predicted,p.a\na,b,1\n", "has no column p.b for the class 'b'"),
    "a probability is no number": ("actual,predicted,p.a,p.b\na,b,x,1\n", "Row #2.*invalid value 'x'"),
    "a probability is missing": (
        "actual,predicted,p.a,p.b\na,a,,1\n",
        "probabilities of row 2 are not 0 to 1",
    ),
    "probabilities are logits": ("actual,predicted,p.a,p.b\na,a,0,1\na,a,-3,4\n", "of row 3 are not 0 to 1"),
    "probabilities of half": ("actual,predicted,p.a,p.b\na,a,0.2,0.3\n", "a sum of 1 \\(1 such rows\\)"),
    "probabilities are texts": (
        pa.table({"actual": ["a"], "predicted": ["a"], "p.a": ["1"]}),
        "column p.a is of type string, but must hold numbers",
    ),
    "classes are decimals": (
        pa.table({"actual": [0.5], "predicted": [0.5]}),
        "column actual is of type double.*signed as metrics: --metrics FILE",
    ),
    "classes are lists": (pa.table({"actual": [[1]], "predicted": ["a"]}), "column actual is of type list"),
    "infinities that cancel": ("actual,predicted,p.a,p.b\na,a,inf,-inf\n", "of row 2 are not 0 to 1"),
    "a class in two spellings": (
        "actual,predicted\ncaf\u00e9,cafe\u0301\nb,b\n",
        "in two ways that look alike, .*u0301.* and .*xe9",
    ),
    "a class moves the terminal": ("actual,predicted\na\x1b[2J,a\x1b[2J\n", "is no name for a class"),
    "a long class": (f"actual,predicted\n{'x' * 201},a\na,a\n", "is no name for a class"),
    "too many values": ("actual,predicted\na,a,c\n", "Row #2: Expected 2 columns, got 3"),
    "an open quote": (
        f'actual,predicted,note\n{MANY}a,a,"x\n{MANY}',
        "102 lines with its header, but 51 rows",
    ),
    "a line break": ('actual,predicted,note\na,a,"x\ny"\n', "a value holds a line break"),
    "not UTF-8": ("actual,predicted\né,é\n".encode("latin-1"), "cannot be read .*invalid UTF8"),
    "a header that is not UTF-8": ("actual,predicted,é\na,a,a\n".encode("latin-1"), "cannot be read"),
    "half a parquet file": (b"PAR1" + b"\0" * 100, "cannot be read .*Parquet"),
    "regression": (
        "actual,predicted\n" + "".join(f"{n},{n}\n" for n in range(1001)),
        "has 1,001 classes.*--metrics FILE",
    ),
    "too many columns": ("actual,predicted," + ",".join(f"p.{n}" for n in range(1001)), "has 1,001 classes"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_wrong_is_said_in_one_line_with_its_row(tmp_path: Path, name: str) -> None:
    content, said = REFUSED[name]
    with pytest.raises(DataError, match=said) as caught:
        read(tmp_path, content)
    message = str(caught.value)
    assert str(tmp_path / "predictions") in message
    assert not [sign for sign in "\n\x1b" if sign in message]
    assert len(message) < 1000


@pytest.mark.parametrize("name", ["missing.csv", ".", "x" * 300, "/dev/null", "/proc/self/mem"])
def test_what_is_no_file_is_refused_with_its_name(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match=r"(There is no file|cannot be read) "):
        read_predictions(tmp_path / name)


def test_more_than_evidence_holds_is_refused_before_it_is_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = pa.DictionaryArray.from_arrays(pa.array(np.zeros(2_000_001, np.int8)), pa.array(["x" * 1_000]))
    table = pa.table({"actual": rows, "predicted": rows})

    def read_table(*_: object, **__: object) -> None:
        raise AssertionError("it was decoded")

    monkeypatch.setattr(pq, "read_table", read_table)
    with pytest.raises(DataError, match="has 2,000,001 rows, but must have 1 to 2,000,000"):
        read(tmp_path, table)
    monkeypatch.setattr(predictions_file, "MAX_DECODED", 100)
    with pytest.raises(DataError, match="bytes uncompressed"):
        read(tmp_path, table)
    monkeypatch.setattr(predictions_file, "MAX_BYTES", 100)
    with pytest.raises(DataError, match="has more than 100 bytes"):
        read(tmp_path, table)


def test_equal_probabilities_take_no_more_memory_than_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A parquet file holds a column of one number in a few bytes, however many rows it has."""
    rows = 20_000
    texts = pa.array(["a"] * rows)
    table = pa.table({"actual": texts, "predicted": texts, "p.a": np.ones(rows), "p.b": np.zeros(rows)})
    pq.write_table(table, file := tmp_path / "small.parquet")
    assert len(read_predictions(file).labels) == rows
    monkeypatch.setattr(predictions_file, "MAX_DECODED", 300_000)
    with pytest.raises(DataError, match="bytes of probabilities"):
        read_predictions(file)
