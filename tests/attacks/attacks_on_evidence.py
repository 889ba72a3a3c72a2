"""Attacks that say what is not so."""

import json

from resnet_ops_registry.attestations.keys import make_key
from tests.attacks.attack import attack, serves
from tests.attacks.scene import Scene


@attack(refused=True)
def write_the_tags_that_the_gate_writes(scene: Scene) -> bool:
    tags = ("evidence", "gate champion", "resnet_ops.evidence_digest", "Resnet_Ops.evidence_key", "еvidence")
    for key in tags:
        scene.tag(scene.bad.number, key, "passes")
    scene.set_alias("champion", scene.bad.number)
    return serves(scene)


@attack(refused=True)
def log_perfect_metrics(scene: Scene) -> bool:
    run = scene.arena.ok("POST", "runs/create", {"experiment_id": scene.arena.experiment})["run"]["info"][
        "run_id"
    ]
    metric = {"run_id": run, "key": "test.top1", "value": 1.0, "timestamp": 1, "step": 0}
    scene.arena.ok("POST", "runs/log-metric", {**metric, "model_id": scene.bad.model_id})
    scene.set_alias("champion", scene.bad.number)
    return serves(scene)


@attack(refused=True)
def sign_evidence_with_a_key_of_ones_own(scene: Scene) -> bool:
    own = make_key("own", scene.arena.keys / "own")
    scene.send(scene.bad.number, scene.statement(scene.bad, key=own))
    scene.set_alias("champion", scene.bad.number)
    return serves(scene)


@attack(refused=True)
def claim_the_pipelines_key_id_over_ones_own_signature(scene: Scene) -> bool:
    own = make_key("own", scene.arena.keys / "own")
    envelope = json.loads(scene.statement(scene.bad, key=own))
    envelope["signatures"][0]["keyid"] = scene.arena.key.public.id
    scene.send(scene.bad.number, json.dumps(envelope))
    scene.set_alias("champion", scene.bad.number)
    return serves(scene)


@attack(refused=True)
def replay_the_champions_statement_on_another_version(scene: Scene) -> bool:
    scene.send(scene.bad.number, scene.statement(scene.good))
    scene.set_alias("champion", scene.bad.number)
    return serves(scene)


@attack(refused=True)
def outdo_bad_evidence_with_an_older_good_one(scene: Scene) -> bool:
    good = scene.statement(scene.bad, low=0.99)
    if scene.arena.gated:
        # the pipeline measures again, and it is not good enough
        assert scene.send(scene.bad.number, scene.statement(scene.bad, low=0.90)).ok
        scene.send(scene.bad.number, good)
    scene.set_alias("champion", scene.bad.number)
    return serves(scene)
