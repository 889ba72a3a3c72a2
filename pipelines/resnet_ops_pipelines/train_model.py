"""DVC stage `train_model`: fit one member; weights, learning curve, and a live MLflow run.

A training that was killed goes on from its last checkpoint when the stage runs again, and ends with the same bits.
With `train.processes` above 1 it starts that many workers; under torchrun it is one of them.
"""

import argparse
import shutil
from dataclasses import replace
from pathlib import Path

from resnet_ops.console import console, report_errors
from resnet_ops.data import load_prepared
from resnet_ops.data.trained_on import read_trained_on, save_trained_on, seen_in_training
from resnet_ops.files import write_json
from resnet_ops.model import save_model
from resnet_ops.model_files import model_digest
from resnet_ops.provenance import git_state, hardware
from resnet_ops.training.checkpoints import Checkpoints
from resnet_ops.training.choices import settle
from resnet_ops.training.distributed.launch import start_workers
from resnet_ops.training.distributed.workers import Workers, join_workers, started_as_worker
from resnet_ops.training.history import History
from resnet_ops.training.identity import training_key
from resnet_ops.training.loop import fit
from resnet_ops.training.machine import remarks
from resnet_ops.training.plan import Plan
from resnet_ops.training.recipe import Recipe
from resnet_ops.training.start import REGISTERED
from resnet_ops_pipelines.project_params import Params, read_params
from resnet_ops_registry.client.loading import load
from resnet_ops_registry.client.tracking import LiveRun


def with_weights_at_hand(recipe: Recipe) -> tuple[Recipe, frozenset[str] | None]:
    """The recipe with the registered version that it starts from fetched and verified, as a folder.

    And the images which the weights that it starts from have seen; None where nobody noted them.
    """
    if recipe.start is None:
        return recipe, frozenset()
    kind, _, place = recipe.start.source.partition(":")
    if not REGISTERED.fullmatch(recipe.start.source):
        return recipe, read_trained_on(Path(place)) if kind == "file" else None
    loaded = load(recipe.start.source)
    return replace(recipe, start=replace(recipe.start, source=f"file:{loaded.folder}")), loaded.trained_on


def main(name: str) -> None:
    params = read_params()
    if params.train.processes > 1 and not started_as_worker():
        start_workers(params.train.processes, ["-m", "resnet_ops_pipelines.train_model", "--member", name])
    else:
        with join_workers(params.train.device) as workers:
            train(name, params, workers)


def train(name: str, params: Params, workers: Workers) -> None:
    data = load_prepared(Path("data/prepared"))
    recipe, seen_before = with_weights_at_hand(params.recipes[params.family[name]])
    plan = Plan(name=name, member=params.members[name], recipe=recipe, engine=params.train, seed=params.seed)
    plan = settle(plan, data, Path("threads.json"), workers)
    if workers.leads:
        _, size, _, channels = data.images.shape
        for remark in remarks(plan, recipe.image_size or size, channels):
            console.print(f"{name}: {remark}")
        if seen_before is None:
            console.print(
                f"{name}: nobody noted which images the weights have seen that it starts from. Where they may have "
                "seen images of this test split, its numbers are too good."
            )
    folder = Path("var/checkpoints") / name / training_key(plan, data)[:16]
    checkpoints = Checkpoints(folder, params.checkpoint.every_seconds)
    if not workers.leads:
        fit(plan, data, checkpoints=checkpoints, workers=workers)
        return
    source = git_state(Path.cwd())  # now, because a commit may come while it trains
    history = History(name, recipe.epochs)
    with LiveRun(params.register.experiment, name) as live:
        model = fit(plan, data, [history.add, live.log_epoch], checkpoints, workers)
        save_model(model, Path("models") / name)
        save_trained_on(seen_in_training(data) | (seen_before or frozenset()), Path("models") / name)
        live.finish(model_digest(Path("models") / name))
    history.save(Path("reports/training") / f"{name}.csv")
    made_by = {"hardware": hardware() | {"workers": workers.count}, "source": source}
    write_json(Path("reports/machines") / f"{name}.json", made_by)
    shutil.rmtree(folder.parent, ignore_errors=True)  # also what other settings left behind
    console.print(f"models/{name}: validation score {history.epochs[-1].validation_score:.4f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--member", required=True, help="a name under `members` in params.yaml")
    member = parser.parse_args().member
    with report_errors(f"train_model {member}"):
        main(member)
