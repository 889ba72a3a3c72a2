"""DVC stage `train_model`: fit one member; weights, learning curve, and a live MLflow run.

A training that was killed goes on from its last checkpoint when the stage runs again, and ends with the same bits.
"""

import argparse
import shutil
from pathlib import Path

from project_params import read_params

from resnet_ops.console import console, report_errors
from resnet_ops.data import load_prepared
from resnet_ops.model import save_model
from resnet_ops.model_files import model_digest
from resnet_ops.training.checkpoints import Checkpoints
from resnet_ops.training.history import History
from resnet_ops.training.identity import training_key
from resnet_ops.training.loop import fit
from resnet_ops_registry.tracking import LiveRun


def main(name: str) -> None:
    params = read_params()
    data = load_prepared(Path("data/prepared"))
    member, recipe, seed = params.members[name], params.train, params.seed
    history = History(name, recipe.epochs)
    folder = Path("var/checkpoints") / name / training_key(member, recipe, data, seed)[:16]
    checkpoints = Checkpoints(folder, params.checkpoint.every_seconds)
    with LiveRun(params.register.experiment, name) as live:
        model = fit(name, member, recipe, data, seed, [history.add, live.log_epoch], checkpoints)
        save_model(model, Path("models") / name)
        live.finish(model_digest(Path("models") / name))
    history.save(Path("reports/training") / f"{name}.csv")
    shutil.rmtree(folder.parent, ignore_errors=True)  # also what other settings left behind
    console.print(f"models/{name}: validation top-1 {history.epochs[-1].validation_top1:.4f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--member", required=True, help="a name under `members` in params.yaml")
    member = parser.parse_args().member
    with report_errors(f"train_model {member}"):
        main(member)
