"""Verdicts on windows of masks, of a small FCN that learned drawn shapes: `answer_drift` says what is measured.

    python benchmarks/tasks/mask_drift.py

Writes a table in docs/drift-measured.md.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks.tasks.answer_drift import measure
from benchmarks.tasks.drawn_shapes import MASKS, prepared_shapes
from resnet_ops.families.member import Member
from resnet_ops.model import TrainedModel, load_model, save_model
from resnet_ops.training.loop import fit
from tests.unit.core.makers import make_plan, make_recipe

MARKS = ("<!-- drift of masks: begin -->", "<!-- drift of masks: end -->")


def trained(folder: Path) -> TrainedModel:
    """The small FCN, kept in a folder."""
    if not (folder / "member.json").exists():
        recipe = make_recipe(
            epochs=16, batch_size=32, peak_lr=0.1, warmup=0.2, flip=True, label_smoothing=0.0
        )
        member = Member(depth=8, widths=(8, 16, 32), stem_kernel=3, stem_stride=1, shortcut="identity")
        save_model(fit(make_plan(recipe, member=member), prepared_shapes(1500, 0, MASKS)), folder)
    return load_model(folder)


if __name__ == "__main__":
    measure(__doc__, Path(__file__), MARKS, trained)
