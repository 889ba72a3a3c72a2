"""Attacks on the files of a version."""

import socket
from urllib.parse import urlparse

import requests

from tests.attacks.attack import attack, changed
from tests.attacks.scene import Scene


@attack()
def overwrite_the_champions_weights(scene: Scene) -> bool:
    scene.arena.artifact("PUT", f"{scene.good.root}/weights.safetensors", b"evil")
    return changed(scene)


@attack()
def overwrite_the_champions_weights_by_an_odd_path(scene: Scene) -> bool:
    root = scene.good.root
    for path in (
        f"{root}//weights.safetensors",
        f"{root}/./weights.safetensors",
        f"{root}/x/%2e%2e/weights.safetensors",
    ):
        scene.arena.artifact("PUT", path, b"evil")
        url = f"{scene.arena.running.uri}/ajax-api/2.0/mlflow-artifacts/artifacts/{path}"
        scene.arena.session.put(url, data=b"evil", timeout=60)
    scene.arena.artifact("PUT", f"{root}/weights.safetensors", b"evil")
    return changed(scene)


@attack()
def slip_a_file_in_beside_the_champions(scene: Scene) -> bool:
    scene.arena.artifact("PUT", f"{scene.good.root}/code/sitecustomize.py", b"import os")
    return changed(scene)


@attack()
def delete_the_champions_weights(scene: Scene) -> bool:
    scene.arena.artifact("DELETE", f"{scene.good.root}/weights.safetensors")
    return changed(scene)


@attack()
def delete_a_folder_above_the_champion(scene: Scene) -> bool:
    scene.arena.artifact("DELETE", scene.good.root.rpartition("/")[0])
    return changed(scene)


def _upload_by_an_experiment(scene: Scene, location: str, path: str) -> None:
    """Have the server write to a location of one's own choice, by the route of the client's `log_artifact`."""
    arena = scene.arena
    body = {"name": f"mine-{scene.name}-{len(location)}", "artifact_location": location}
    experiment = arena.call("POST", "experiments/create", body)
    if not experiment.ok:
        return
    body = {"experiment_id": experiment.json()["experiment_id"]}
    run = arena.ok("POST", "runs/create", body)["run"]["info"]["run_id"]
    url = f"{arena.running.uri}/ajax-api/2.0/mlflow/upload-artifact"
    arena.session.post(url, params={"run_uuid": run, "path": path}, data=b"evil", timeout=60)


@attack(withstood="workspaces")  # an experiment may not choose its location there
def upload_beside_the_champion_by_an_experiments_location(scene: Scene) -> bool:
    _upload_by_an_experiment(scene, scene.path(scene.good).as_uri(), "sitecustomize.py")
    return changed(scene)


@attack(withstood="workspaces")  # an experiment may not choose its location there
def upload_below_the_champion_by_an_experiments_plain_path(scene: Scene) -> bool:
    _upload_by_an_experiment(scene, f"{scene.path(scene.good)}/code", "sitecustomize.py")
    return changed(scene)


@attack(withstood="workspaces")  # an experiment may not choose its location there
def upload_beside_the_champion_by_a_spelled_out_location(scene: Scene) -> bool:
    folder = scene.path(scene.good)
    _upload_by_an_experiment(scene, f"file://{folder.parent}/./{folder.name}/", "sitecustomize.py")
    return changed(scene)


@attack(withstood="workspaces")  # an experiment may not choose its location there
def upload_beside_the_champion_by_a_location_that_reads_otherwise(scene: Scene) -> bool:
    """MLflow takes `%41` in a path for an A, and passes over the host; its column holds 200 signs."""
    folder = scene.path(scene.good)
    spelled_out = f"%{ord(folder.name[0]):02x}{folder.name[1:]}"
    _upload_by_an_experiment(scene, f"{folder.parent}/{spelled_out}", "sitecustomize.py")
    _upload_by_an_experiment(scene, f"file://h{folder}", "sitecustomize.py")
    return changed(scene)


@attack()
def overwrite_files_between_evidence_and_promotion(scene: Scene) -> bool:
    candidate = scene.version({"weights.safetensors": b"good"})
    scene.prove(candidate)
    scene.arena.artifact("PUT", f"{candidate.root}/weights.safetensors", b"evil")
    scene.set_alias("champion", candidate.number)
    served = scene.aliases()["champion"] == candidate.number
    return served and scene.stored(candidate) != dict(candidate.files)


@attack()
def hold_an_upload_open_until_after_the_promotion(scene: Scene) -> bool:
    """Begin to overwrite a file before there is evidence, and finish it when the version serves."""
    candidate = scene.version({"weights.safetensors": b"good"})
    address = urlparse(scene.arena.running.uri)
    lines = [f"PUT /api/2.0/mlflow-artifacts/artifacts/{candidate.root}/weights.safetensors HTTP/1.1"]
    lines += [f"Host: {address.netloc}", "Content-Length: 4", "Connection: close"]
    prepared = scene.arena.session.prepare_request(requests.Request("PUT", scene.arena.running.uri))
    lines += [
        f"{key}: {value!s}" for key, value in dict(prepared.headers).items() if key.startswith(("X-", "Auth"))
    ]
    with socket.create_connection((address.hostname or "", address.port or 0), timeout=60) as connection:
        connection.sendall("\r\n".join([*lines, "", "ev"]).encode())
        scene.prove(candidate)
        assert scene.set_alias("champion", candidate.number).ok
        connection.sendall(b"il")
        while connection.recv(4096):
            pass
    return scene.stored(candidate) != dict(candidate.files)


@attack("insider", refused=True)
def change_the_files_on_disk_and_set_the_alias_again(scene: Scene) -> bool:
    """The champion is the champion already: setting it again must be judged all the same."""
    (scene.path(scene.good) / "weights.safetensors").write_bytes(b"evil")
    return scene.set_alias("champion", scene.good.number).ok


@attack("insider", refused=True)
def change_the_files_on_disk_and_enter_the_stage_again(scene: Scene) -> bool:
    (scene.path(scene.good) / "weights.safetensors").write_bytes(b"evil")
    return scene.set_stage("Production", scene.good.number).ok


@attack("insider", refused=True)
def put_a_link_in_place_of_a_file(scene: Scene) -> bool:
    candidate = scene.version({"weights.safetensors": b"good"})
    scene.prove(candidate)
    elsewhere = scene.arena.running.folder / f"elsewhere-{scene.name}"
    elsewhere.write_bytes(b"good")
    path = scene.path(candidate) / "weights.safetensors"
    path.unlink()
    path.symlink_to(elsewhere)
    return scene.set_alias("champion", candidate.number).ok
