"""DVC stage `cross_validate_model`: train a member without each fold and ask it about that; nothing where off."""

import argparse
from pathlib import Path

from resnet_ops.console import report_errors
from resnet_ops.files import write_json
from resnet_ops_pipelines.project_params import Params, read_params

REPORTS, STORE = Path("reports/cross_validation"), Path("var/folds")


def main(name: str) -> None:
    params = read_params()
    if params.evaluate.cross_validation is None:
        write_json(REPORTS / name / "measurements.json", {})
    else:
        cross_validate(name, params, params.evaluate.cross_validation.folds)


def cross_validate(name: str, params: Params, folds: int) -> None:
    from resnet_ops.console import console
    from resnet_ops.cross_validation.answers import answer_fold
    from resnet_ops.cross_validation.folds import deal_folds
    from resnet_ops.cross_validation.measure import measure_folds, thresholds_of
    from resnet_ops.cross_validation.report import save_folds
    from resnet_ops.cross_validation.words import CROSS
    from resnet_ops.data import load_prepared
    from resnet_ops.tasks.task import require_per_image
    from resnet_ops.training.choices import settle
    from resnet_ops.training.distributed.workers import ALONE
    from resnet_ops.training.plan import Plan
    from resnet_ops_pipelines.train_model import with_weights_at_hand

    data = load_prepared(Path("data/prepared"))
    require_per_image(data.task, "evaluate.cross_validation")
    recipe, seen = with_weights_at_hand(params.recipes[params.family[name]])
    plan = Plan(name=name, member=params.members[name], recipe=recipe, engine=params.train, seed=params.seed)
    plan = settle(plan, data, Path("threads.json"), ALONE)
    if seen is None:
        console.print(f"{name}: nobody noted which images the weights have seen that its folds start from.")
    fold_of = deal_folds(data, folds, params.data.group, params.seed)
    found = [
        answer_fold(
            plan, data, fold_of, fold, seen or (), STORE, params.checkpoint.every_seconds, console.print
        )
        for fold in range(folds)
    ]
    point = params.evaluate.operating_point
    measured = measure_folds(found, data, point, params.evaluate.confidence, params.data.group)
    save_folds(name, found, thresholds_of(found, data, point), data, measured, REPORTS / name)
    console.print(f"{name}: {CROSS}.top1 {measured[f'{CROSS}.top1'].shown}, {folds} models")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--member", required=True, help="a name under `family` in params.yaml")
    member = parser.parse_args().member
    with report_errors(f"cross_validate_model {member}"):
        main(member)
