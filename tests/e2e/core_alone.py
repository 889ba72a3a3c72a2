"""Run by the Python of an environment: train, evaluate and benchmark a tiny network there; prints JSON."""

import json
import sys
from importlib.util import find_spec
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[2]))  # last: for the tests' makers, not for the code

from resnet_ops.benchmark.measure import benchmark_profile
from resnet_ops.benchmark.profile import InterferenceParams, Profile
from resnet_ops.evaluation.evaluate import evaluate
from resnet_ops.evaluation.params import EvaluateParams, RobustnessParams, SliceParams
from resnet_ops.model import load_model, save_model
from resnet_ops.training.checkpoints import Checkpoints
from resnet_ops.training.history import History
from resnet_ops.training.loop import fit
from tests.unit.core.makers import make_data, make_plan, make_recipe

ABSENT = ("pandas", "psutil", "pyarrow", "pydantic", "rich", "scipy", "sklearn", "typer", "yaml", "mlflow")

if __name__ == "__main__":
    classes = tuple("0123456789")
    data = make_data({split: list(range(10)) * 8 for split in ("train", "validation", "test")}, classes)
    plan = make_plan(make_recipe(rand_augment=5.0, mixup=0.2))
    history = History("tiny", plan.recipe.epochs)
    trained = fit(plan, data, callbacks=[history.add], checkpoints=Checkpoints(Path("checkpoints"), 0.0))
    save_model(trained, Path("tiny"))
    slices = SliceParams(columns=(), statistics=("brightness",), quantiles=2, min_images=10)
    settings = EvaluateParams(
        confidence=0.95,
        calibration_bins=5,
        slices=slices,
        robustness=RobustnessParams(images=40),
        gallery=2,
        operating_point=None,
    )
    found = evaluate(load_model(Path("tiny")), data, settings, seed=0)
    profile = Profile(device="cpu", threads=1, memory_mb=0, batch_sizes=(4,), warmup=3, requests=400)
    calm = InterferenceParams(max_waiting=1e9, max_others=1e9, max_drift=1e9, attempts=1)
    timed = benchmark_profile(Path("tiny"), "cpu", profile, calm, 0.95, lambda done, total: None)
    measured = {name: each.value for name, each in {**found.measured, **timed.measured}.items()}
    installed = [name for name in ABSENT if find_spec(name) is not None]
    print(json.dumps({"epochs": len(history.epochs), "measured": measured, "installed": installed}))
