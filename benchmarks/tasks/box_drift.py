"""Verdicts on windows of boxes, of a small detector that learned drawn shapes: `answer_drift` says what is measured.

    python benchmarks/tasks/box_drift.py

Boxes count from the score of the highest F1 on images that the detector did not learn. Writes a table in
docs/drift-measured.md.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks.tasks.answer_drift import measure
from benchmarks.tasks.drawn_shapes import BOXES, prepared_shapes
from resnet_ops.data import PreparedData
from resnet_ops.families.member import Member
from resnet_ops.model import TrainedModel, load_model, save_model
from resnet_ops.predictions import DeployedModel
from resnet_ops.tasks.detection.matching import match
from resnet_ops.tasks.detection.measured import answered, as_detections, as_labels
from resnet_ops.tasks.detection.score_threshold import choose_threshold
from resnet_ops.tasks.watching.at_threshold import at_threshold
from resnet_ops.training.loop import fit
from tests.unit.core.makers import make_plan, make_recipe

MARKS = ("<!-- drift of boxes: begin -->", "<!-- drift of boxes: end -->")


def trained(folder: Path) -> DeployedModel:
    """The small FCOS, kept in a folder, with the score from which its boxes count."""
    if not (folder / "member.json").exists():
        save_model(learned(prepared_shapes(1500, 0, BOXES)), folder)
    model, unseen = load_model(folder), prepared_shapes(300, 3, BOXES)
    matches = match(as_labels(unseen), as_detections(answered(model, unseen)))["all"]
    return at_threshold(model, choose_threshold(matches, "f1", None))


def learned(data: PreparedData) -> TrainedModel:
    recipe = make_recipe(
        epochs=16,
        batch_size=8,
        optimiser="adamw",
        peak_lr=0.064,
        weight_decay=0.01,
        flip=True,
        label_smoothing=0.0,
    )
    member = Member(depth=8, widths=(8, 16, 32), stem_kernel=3, stem_stride=1, shortcut="identity")
    return fit(make_plan(recipe, member=member), data)


if __name__ == "__main__":
    measure(__doc__, Path(__file__), MARKS, trained)
