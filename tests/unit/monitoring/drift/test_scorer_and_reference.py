"""From images to rows, and from labelled rows to the reference."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

from resnet_ops.errors import DataError
from resnet_ops_monitoring.drift.reference import build_reference, load_reference
from resnet_ops_monitoring.inference_log.frames import LOGGED, InvalidRows, matrix, vectors
from resnet_ops_monitoring.inference_log.identity import ModelIdentity
from resnet_ops_monitoring.inference_log.log import InferenceLog
from resnet_ops_monitoring.serving.scorer import Scorer

if TYPE_CHECKING:
    from tests.unit.monitoring.conftest import Served


def test_a_row_says_what_the_model_says(served: Served) -> None:
    frame = served.score(served.unseen[:20], labels=served.truth[:20])
    predictions = served.scorer.model.predict(served.unseen[:20])
    assert list(frame.columns) == list(LOGGED)
    np.testing.assert_allclose(matrix(frame, "probabilities"), predictions.probabilities, atol=1e-6)
    np.testing.assert_allclose(matrix(frame, "embedding"), predictions.embeddings, atol=1e-5)
    assert list(frame["predicted"]) == [served.reference.classes[k] for k in predictions.predicted]
    assert (frame["latency_ms"] > 0).all()
    assert frame["brightness"].between(0, 1).all()
    assert set(frame["digest"]) == {served.identity.digest}


def test_vectors_become_a_matrix_whatever_holds_them() -> None:
    rows = np.arange(12, dtype=np.float32).reshape(3, 4)
    gaps = np.repeat(rows, 2, axis=1)[:, ::2]
    mixed = [rows[0], rows[1].astype(np.int32), rows[2].astype(np.float64)]
    for held in (list(rows), list(gaps), rows.tolist(), list(rows.astype(np.float64)), mixed):
        np.testing.assert_array_equal(matrix(pd.DataFrame({"embedding": held}), "embedding"), rows)
    nothing = [np.float32(1), np.array(1.0)]
    for wrong in ([rows[0], rows[1][:3]], [rows[0], rows[0][:1]], [rows[:2, :2]] * 2, ["12", "34"], nothing):
        with pytest.raises(InvalidRows, match="Column embedding holds"):
            matrix(pd.DataFrame({"embedding": wrong}), "embedding")


def test_vectors_in_one_piece_are_the_same_rows_however_they_are_cut_and_joined() -> None:
    rows = np.arange(12, dtype=np.float32).reshape(3, 4)
    rows[0, 1], rows[2, 3] = np.nan, np.inf
    whole = pd.DataFrame({"embedding": vectors(np.repeat(rows, 2, axis=0)[::2])})
    assert isinstance(whole["embedding"].dtype, pd.ArrowDtype)
    for some in (slice(None), slice(1, 3), [2, 0]):
        np.testing.assert_array_equal(matrix(whole.iloc[some], "embedding"), rows[some])
    joined = pd.concat([whole, whole.iloc[:1]], ignore_index=True)
    np.testing.assert_array_equal(matrix(joined, "embedding"), rows[[0, 1, 2, 0]])
    mixed = pd.concat([whole, pd.DataFrame({"embedding": [rows[2]]})], ignore_index=True)
    np.testing.assert_array_equal(matrix(mixed, "embedding"), rows[[0, 1, 2, 2]])
    assert matrix(whole.iloc[:0], "embedding").shape == (0, 0)


def test_a_missing_vector_is_refused() -> None:
    whole = pd.DataFrame({"embedding": vectors(np.ones((3, 4), dtype=np.float32))})
    whole.loc[1, "embedding"] = None
    with pytest.raises(InvalidRows, match="Column embedding holds"):
        matrix(whole, "embedding")


def test_batches_do_not_change_the_rows(served: Served) -> None:
    small = Scorer(served.scorer.model, served.identity, batch_size=7)
    ids, times = [str(i) for i in range(20)], [datetime(2026, 1, 1, tzinfo=UTC)] * 20
    one, many = (s.score(served.unseen[:20], ids, times) for s in (served.scorer, small))
    np.testing.assert_allclose(matrix(one, "probabilities"), matrix(many, "probabilities"), atol=1e-5)
    assert list(one["request_id"]) == list(many["request_id"])


def test_the_log_takes_what_the_scorer_makes(served: Served, tmp_path: Path) -> None:
    log = InferenceLog(f"sqlite:///{tmp_path}/inference.db")
    assert log.append(served.score(served.unseen[:20])) == 20
    assert log.append(served.score(served.unseen[:20])) == 0


def test_no_images_give_no_rows(served: Served) -> None:
    frame = served.score(served.unseen[:0])
    assert list(frame.columns) == list(LOGGED)
    assert len(frame) == 0


def test_images_without_their_ids_are_refused(served: Served) -> None:
    with pytest.raises(DataError, match="3 images, 2 request ids, 3 times"):
        served.scorer.score(served.unseen[:3], ["a", "b"], [datetime(2026, 1, 1, tzinfo=UTC)] * 3)


def test_a_saved_reference_comes_back_and_its_bytes_repeat(served: Served, tmp_path: Path) -> None:
    served.reference.save(tmp_path / "a.parquet")
    served.reference.save(tmp_path / "b.parquet")
    back = load_reference(tmp_path / "a.parquet")
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()
    assert (back.identity, back.classes, back.seen) == (served.identity, tuple("0123456789"), 384)
    np.testing.assert_array_equal(matrix(back.rows, "embedding"), matrix(served.reference.rows, "embedding"))
    assert list(back.rows["label"]) == list(served.reference.rows["label"])


def test_a_large_reference_is_a_bounded_repeatable_sample(served: Served) -> None:
    frame = served.score(served.unseen, labels=served.truth)
    built = [
        build_reference(frame, served.identity, served.reference.classes, rows=100, seed=s) for s in (1, 1, 2)
    ]
    ids = [list(reference.rows["request_id"]) for reference in built]
    assert (len(ids[0]), built[0].seen) == (100, len(frame))
    assert ids[0] == ids[1] != ids[2]


def test_a_reference_needs_labels_of_known_classes_by_the_same_files(served: Served) -> None:
    frame = served.score(served.unseen[:60], labels=served.truth[:60])
    classes = served.reference.classes
    nothing: Any = [np.full(4, np.nan)] * 60
    wrong = {
        "needs a label for every row": (frame.assign(label=None), served.identity),
        r"classes that the model lacks: \['cat'\]": (frame.assign(label="cat"), served.identity),
        "made by other model files": (frame, ModelIdentity("digits-classifier", "4", "0" * 64)),
        "^3 predictions are too few": (frame.iloc[:3], served.identity),
        "not finite": (frame.assign(embedding=nothing), served.identity),
    }
    for message, (rows, identity) in wrong.items():
        with pytest.raises(DataError, match=message):
            build_reference(rows, identity, classes, rows=100, seed=0)


def test_a_missing_or_damaged_reference_says_what_to_run(served: Served, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"is missing.*dvc repro"):
        load_reference(tmp_path / "none.parquet")
    path = tmp_path / "damaged.parquet"
    served.reference.save(path)
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(DataError, match=r"not a readable reference.*dvc repro"):
        load_reference(path)
    served.reference.rows[["request_id"]].to_parquet(path)
    with pytest.raises(DataError, match="of this program's version"):
        load_reference(path)
