"""Our loop and the bare one side by side, for benchmarks/gpu.py."""

import random
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch

from benchmarks.gpu_parts.bare_loop import BareLoop
from benchmarks.images import made_images
from resnet_ops.families.any_member import AnyMember
from resnet_ops.training.batches import augment_batch
from resnet_ops.training.engine import Engine
from resnet_ops.training.loop import Training
from resnet_ops.training.plan import Plan
from resnet_ops.training.set_up import precision, set_up
from tests.unit.core.makers import make_recipe

__all__ = ["CLASSES", "Pair", "Scale", "summary"]

CLASSES = 10


@dataclass(frozen=True)
class Scale:
    """How much is done."""

    device: str
    matrix: int
    large: AnyMember
    large_side: int
    large_batch: int
    small: AnyMember
    small_batch: int
    steps: int
    rounds: int
    epochs: int
    seeds: int
    compile: bool

    def plan(self, member: AnyMember, seed: int = 0, graphs: bool = False, **recipe: Any) -> Plan:
        """With crops and mirrors; on a GPU in bf16 and compiled."""
        engine = Engine(
            device=self.device,  # type: ignore[arg-type]
            processes=1,
            threads=1,
            precision="bf16" if self.device == "cuda" else "fp32",
            compile=("reduce-overhead" if graphs else "default") if self.compile else False,
            exact=False,
            images="memory",
        )
        usual = {"crop_padding": 4, "flip": True, "peak_lr": 0.2, "label_smoothing": 0.1, "epochs": 10**6}
        settings = make_recipe(**{**usual, **recipe})
        return Plan(name="benchmark", member=member, recipe=settings, engine=engine, seed=seed)

    def wait(self) -> None:
        """Until the device has done what it was told."""
        if self.device == "cuda":
            torch.cuda.synchronize()

    def speed(self, work: Callable[[], object], count: float) -> float:
        """`count` of whatever the work does, a second."""
        self.wait()
        started = time.perf_counter()
        work()
        self.wait()
        return count / (time.perf_counter() - started)

    def compare(self, work: Mapping[str, Callable[[], object]], count: float) -> dict[str, Any]:
        """Two kinds of work that each do `count`, in rounds; the first run of each is not counted."""
        chance, speeds = random.Random(0), {name: list[float]() for name in work}
        for each in work.values():
            self.speed(each, count)
        for _ in range(self.rounds):
            for name in chance.sample(list(work), len(work)):
                speeds[name].append(self.speed(work[name], count))
        return summary(speeds["ours"], speeds["bare"])


def summary(ours: list[float], bare: list[float]) -> dict[str, Any]:
    ratios = [one / other for one, other in zip(ours, bare, strict=True)]
    return {
        "ours": round(statistics.median(ours), 1),
        "bare": round(statistics.median(bare), 1),
        "ratio": round(statistics.median(ratios), 4),
        "n": len(ratios),
        "spread": [round(min(ratios), 4), round(max(ratios), 4)],
    }


class Pair:
    """Our loop and the bare one for the same plan, each compiled once for all parts that use it."""

    def __init__(self, scale: Scale, plan: Plan, side: int) -> None:
        self.scale, self.plan = scale, plan
        batch = plan.recipe.batch_size
        data = made_images(4 * batch, batch, side, CLASSES)
        self.training = Training(plan, data.split("train"), data.split("validation"))
        self.bare = BareLoop(plan, CLASSES)
        device = torch.device(scale.device)
        self.images = torch.from_numpy(data.images[:batch]).to(device)
        labels = torch.from_numpy(data.labels[:batch]).to(device)
        classifier, share = self.training.classifier, self.training.share
        self.batch, _ = augment_batch(classifier, self.images, labels, plan.recipe, torch.Generator(), share)
        self.labels = labels

    def our_steps(self) -> None:
        state = self.training.state
        state.start_epoch(self.training.image_count)
        order = state.order(self.training.image_count).split(self.plan.recipe.batch_size)
        list(self.training.take_steps([order[step % len(order)] for step in range(self.scale.steps)]))

    def bare_steps(self) -> None:
        self.bare.network.train()
        for _ in range(self.scale.steps):
            self.bare.step(self.batch, self.labels)

    @torch.inference_mode()
    def our_answers(self) -> None:
        self.training.judged.network.eval()
        for _ in range(self.scale.steps):
            with precision(self.plan.engine):
                self.training.judged(self.images)

    @torch.inference_mode()
    def bare_answers(self) -> None:
        self.bare.network.eval()
        for _ in range(self.scale.steps):
            self.bare.forward(self.batch)

    def train(self) -> dict[str, Any]:
        work = {"ours": self.our_steps, "bare": self.bare_steps}
        return self.scale.compare(work, self.scale.steps * len(self.images))

    def infer(self) -> dict[str, Any]:
        work = {"ours": self.our_answers, "bare": self.bare_answers}
        return self.scale.compare(work, self.scale.steps * len(self.images))

    def exact(self) -> dict[str, Any]:
        """Ours is our loop with deterministic algorithms, bare our loop without; both stay compiled side by side."""

        def steps_of(exact: bool) -> Callable[[], None]:
            def work() -> None:
                set_up(replace(self.plan.engine, exact=exact), 0)
                self.our_steps()

            return work

        try:
            return self.scale.compare(
                {"ours": steps_of(True), "bare": steps_of(False)}, self.scale.steps * len(self.images)
            )
        finally:
            set_up(self.plan.engine, 0)
