"""Attacks on aliases and stages, in every spelling, and by what is carried along."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import requests

from tests.attacks.attack import attack, serves
from tests.attacks.scene import Scene


@attack(refused=True)
def set_the_alias_by_rest(scene: Scene) -> bool:
    scene.set_alias("champion", scene.bad.number)
    return serves(scene)


@attack(refused=True)
def set_the_alias_by_the_route_of_the_ui(scene: Scene) -> bool:
    url = f"{scene.arena.running.uri}/ajax-api/2.0/mlflow/registered-models/alias"
    body = {"name": scene.name, "alias": "champion", "version": str(scene.bad.number)}
    scene.arena.session.post(url, json=body, timeout=60)
    return serves(scene)


def _spelt(alias: str) -> Callable[[Scene], bool]:
    def run(scene: Scene) -> bool:
        scene.set_alias(alias, scene.bad.number)
        return serves(scene, alias)

    return run


for _name, _alias in {
    "write_the_alias_in_capitals": "CHAMPION",
    "end_the_alias_with_a_new_line": "champion\n",
    "write_the_alias_in_full_width": "ｃｈａｍｐｉｏｎ",
    "write_the_alias_with_cyrillic_letters": "сhаmріоn",
    "write_the_alias_with_greek_capitals": "ϹΗΑΜΡΙΟΝ",
    "write_the_alias_with_an_accent": "chámpion",
    "write_the_alias_in_mathematical_letters": "𝐜𝐡𝐚𝐦𝐩𝐢𝐨𝐧",
}.items():
    _run = _spelt(_alias)
    _run.__name__ = _name
    attack(refused=True)(_run)


@attack(refused=True)
def spell_the_version_oddly(scene: Scene) -> bool:
    number = scene.bad.number
    for spelling in (
        f" {number}",
        f"0{number}",
        f"+{number}",
        f"{number} ",
        f"{number}\n",
        "٢",
        "２",
        f"0_{number}",
    ):
        scene.set_alias("champion", spelling)
    return serves(scene)


@attack(refused=True)
def enter_the_stage(scene: Scene) -> bool:
    scene.set_stage("Production", scene.bad.number)
    return scene.stage(scene.bad) == "Production"


@attack(refused=True)
def enter_the_stage_in_other_case_and_archive_the_rest(scene: Scene) -> bool:
    for stage in ("production", "PRODUCTION", "pRoDuCtIoN"):
        # MLflow 3.17 itself fails to archive on PostgreSQL by psycopg 3
        if not scene.set_stage(stage, scene.bad.number, archive=True).ok:
            scene.set_stage(stage, scene.bad.number)
    return scene.stage(scene.bad) == "Production" or scene.stage(scene.good) != "Production"


@attack(refused=True)
def flag_the_model_as_a_prompt(scene: Scene) -> bool:
    tag = {"name": scene.name, "key": "mlflow.prompt.is_prompt", "value": "true"}
    scene.arena.ok("POST", "registered-models/set-tag", tag)
    scene.set_alias("champion", scene.bad.number)
    return serves(scene)


@attack(refused=True)
def ask_from_many_threads_at_once(scene: Scene) -> bool:
    def ask(number: int) -> bool:
        answer = requests.post(
            f"{scene.arena.running.uri}/api/2.0/mlflow/registered-models/alias",
            json={"name": scene.name, "alias": "champion", "version": str(number)},
            auth=scene.arena.session.auth,
            headers={k: v for k, v in scene.arena.session.headers.items() if k.startswith("X-")},
            timeout=60,
        )
        return number == scene.bad.number and answer.ok

    with ThreadPoolExecutor(4) as pool:
        asked = [scene.bad.number, scene.good.number] * 6
        return any(pool.map(ask, asked))


# --- what is carried along: renames, copies, deletion and creation anew


@attack(refused=True)
def rename_a_free_model_into_a_guarded_name(scene: Scene) -> bool:
    free, guarded = f"free-{scene.name}", f"{scene.name}-renamed"
    scene.arena.ok("POST", "registered-models/create", {"name": free})
    version = scene.version({"weights.safetensors": b"evil"}, free)
    assert scene.set_alias("live", version.number, free).ok
    scene.arena.call("POST", "registered-models/rename", {"name": free, "new_name": guarded})
    return scene.aliases(guarded).get("live") == version.number


@attack(refused=True)
def rename_the_model_out_of_its_policy_and_back(scene: Scene) -> bool:
    free = f"free-{scene.name}"
    for alias in ("champion", "live"):
        body = {"name": scene.name, "alias": alias}
        scene.arena.call("DELETE", "registered-models/alias", body)
    scene.set_stage("Archived", scene.good.number)
    scene.arena.ok("POST", "registered-models/rename", {"name": scene.name, "new_name": free})
    assert scene.set_alias("live", scene.bad.number, free).ok
    scene.arena.call("POST", "registered-models/rename", {"name": free, "new_name": scene.name})
    return serves(scene, "live")


@attack(refused=True)
def copy_the_champion_with_its_tags_and_promote_the_copy(scene: Scene) -> bool:
    """A copy is another version: nobody vouched for it, and its source may be swapped later."""
    model = scene.arena.ok(
        "GET", "model-versions/get", {"name": scene.name, "version": str(scene.good.number)}
    )
    body = {
        "name": scene.name,
        "source": f"models:/{scene.name}/{scene.good.number}",
        "tags": model["model_version"].get("tags", []),
    }
    copy = scene.arena.ok("POST", "model-versions/create", body)["model_version"]["version"]
    scene.set_alias("champion", copy)
    return scene.aliases()["champion"] == int(copy)


@attack(refused=True)
def delete_the_model_and_give_its_number_to_another(scene: Scene) -> bool:
    old = scene.statement(scene.good)
    scene.arena.ok("DELETE", "registered-models/delete", {"name": scene.name})
    scene.arena.ok("POST", "registered-models/create", {"name": scene.name})
    again = scene.version({"weights.safetensors": b"good", "member.json": b"{}"})
    assert again.number == scene.good.number
    scene.send(again.number, old)
    scene.set_alias("champion", again.number)
    return scene.aliases().get("champion") == again.number


@attack(refused=True)
def bring_the_alias_back_by_deleting_its_version(scene: Scene) -> bool:
    """Delete v1 under @champion, and set the alias while numbers are being given out anew."""
    body = {"name": scene.name, "version": str(scene.good.number)}
    scene.arena.ok("DELETE", "model-versions/delete", body)
    scene.set_alias("champion", scene.good.number)
    scene.set_alias("champion", scene.bad.number)
    return serves(scene)
