"""The learning curve on disk."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from resnet_ops.errors import DataError
from resnet_ops.training.epoch import Epoch
from resnet_ops.training.history import History, read_history


def make_epoch(number: int, speed: float = 100.0) -> Epoch:
    return Epoch(
        epoch=number,
        learning_rate=0.1 / number,
        train_loss=2.0 / number,
        train_score=1 - 1 / number,
        validation_loss=1 / 3 / number,
        validation_score=0.5,
        images_per_second=speed,
    )


def save(path: Path, speed: float, epochs: int = 3) -> None:
    history = History("resnet8", epochs)
    for number in range(1, epochs + 1):
        history.add(make_epoch(number, speed))
    history.save(path)


def test_a_curve_is_read_as_it_was_written(tmp_path: Path) -> None:
    save(tmp_path / "curve.csv", 100.0)
    rows = read_history(tmp_path / "curve.csv")
    assert [row["epoch"] for row in rows] == [1, 2, 3]
    assert [row["validation_loss"] for row in rows] == [1 / 3, 1 / 6, 1 / 9]
    assert "images_per_second" not in rows[0]


def test_a_repeat_at_another_speed_gives_the_same_bytes(tmp_path: Path) -> None:
    save(tmp_path / "first.csv", 100.0)
    save(tmp_path / "second.csv", 123.4)
    assert (tmp_path / "first.csv").read_bytes() == (tmp_path / "second.csv").read_bytes()


def test_about_ten_lines_are_printed_with_the_last_epoch_among_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save(tmp_path / "curve.csv", 100.0, epochs=31)
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("resnet8 epoch")]
    assert len(lines) == 11
    assert "31/31" in lines[-1]


def test_a_line_says_how_long_the_rest_takes_at_the_pace_of_the_last_epoch(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter([0.0, 0.0, 120.0, 300.0, 420.0])  # the first one was taken from a checkpoint
    monkeypatch.setattr("resnet_ops.training.history.time", SimpleNamespace(monotonic=lambda: next(clock)))
    save(tmp_path / "curve.csv", 100.0, epochs=4)
    left = [line.partition("about ")[2] for line in capsys.readouterr().out.splitlines() if "epoch" in line]
    assert left == ["", "4 min left", "3 min left", ""]


@pytest.mark.parametrize("content", [None, "epoch,train_loss\n1,2\n", "no curve\nat all\n"])
def test_a_missing_or_broken_curve_says_what_to_run(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "curve.csv").write_text(content)
    with pytest.raises(DataError, match=r"curve\.csv .*dvc repro"):
        read_history(tmp_path / "curve.csv")
