"""The manifests of docs/kubernetes.md name what there is: options, settings, paths, variables, volumes, secrets."""

import re
import shlex
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import typer
import yaml

from resnet_ops.cli import build_app
from resnet_ops_monitoring.inference_log.client.writer import CLOSE_WITHIN
from resnet_ops_monitoring.serving.server import TOKEN
from tests.unit.monitoring.serving.fake_model import FakeModel
from tests.unit.monitoring.serving.live import SETTINGS, fake_version, serving
from tests.unit.project_imports import ROOT

PAGE = (ROOT / "docs" / "kubernetes.md").read_text()
MANIFESTS = [
    manifest
    for block in re.findall(r"```yaml\n(.*?)```", PAGE, flags=re.DOTALL)
    for manifest in yaml.safe_load_all(block)
]
PODS = {
    "StatefulSet": lambda manifest: manifest["spec"]["template"]["spec"],
    "InferenceService": lambda manifest: manifest["spec"]["predictor"],
}
FOUND = [(manifest, PODS[manifest["kind"]](manifest)) for manifest in MANIFESTS if manifest["kind"] in PODS]
both = pytest.mark.parametrize(("manifest", "pod"), FOUND, ids=[each["kind"] for each, _ in FOUND])


def container(pod: dict[str, Any]) -> dict[str, Any]:
    (only,) = pod["containers"]
    return dict(only)


def variables(pod: dict[str, Any]) -> dict[str, Any]:
    return {each["name"]: each for each in container(pod)["env"]}


def mounted(pod: dict[str, Any]) -> dict[str, str]:
    """Volume -> where."""
    return {each["name"]: each["mountPath"] for each in container(pod)["volumeMounts"]}


def made() -> dict[tuple[str, str], set[str]]:
    """Kind and name of what the commands of the page make -> its keys."""
    found = {}
    for line in PAGE.splitlines():
        words = shlex.split(line) if line.startswith("kubectl create") else []
        keys = {word.partition("=")[2] for word in words if word.startswith("--from-file=")}
        if keys:
            found[words[2], words[4] if words[2] == "secret" else words[3]] = keys
    return found


def test_both_manifests_are_there() -> None:
    assert [each["kind"] for each in MANIFESTS] == ["StatefulSet", "Service", "InferenceService"]
    assert [container(pod)["image"] for _, pod in FOUND].count(container(FOUND[0][1])["image"]) == 2


@both
def test_the_commands_own_parser_takes_its_arguments(manifest: dict[str, Any], pod: dict[str, Any]) -> None:
    command: Any = typer.main.get_command(build_app())
    noun, *words = container(pod)["args"]
    given = command.commands[noun].commands["start"].make_context("start", words).params
    assert (given["host"], given["port"]) == ("0.0.0.0", None)
    assert given["params"] == Path(mounted(pod)["params"]) / "params.yaml"


@both
def test_its_port_is_that_of_the_settings_and_its_probes_are_answered_without_a_token(
    manifest: dict[str, Any], pod: dict[str, Any]
) -> None:
    (port,) = container(pod)["ports"]
    assert port["containerPort"] == SETTINGS.port
    probes = [container(pod)[f"{name}Probe"]["httpGet"] for name in ("startup", "readiness", "liveness")]
    assert {probe["port"] for probe in probes} <= {port["containerPort"], port.get("name")}
    with serving(fake_version(FakeModel()), token="of-a-test-0123456789") as live:
        assert {live.get(probe["path"]).status_code for probe in probes} == {200}


@both
def test_every_variable_is_read_by_this_program_or_mlflow(
    manifest: dict[str, Any], pod: dict[str, Any]
) -> None:
    from mlflow import environment_variables as mlflow

    code = "".join(
        path.read_text() for top in ("monitoring", "registry") for path in (ROOT / top).rglob("*.py")
    )
    known = {
        TOKEN.file_variable,
        "HOME",
        *(name for name in variables(pod) if f'"{name}"' in code),
        *vars(mlflow),
    }
    assert set(variables(pod)) <= known
    assert variables(pod)[TOKEN.file_variable]["value"] == f"{mounted(pod)['token']}/serve-token"


@both
def test_what_it_mounts_is_there_and_its_secrets_are_those_that_the_page_makes(
    manifest: dict[str, Any], pod: dict[str, Any]
) -> None:
    volumes = {each["name"]: each for each in pod["volumes"]}
    claimed = {each["metadata"]["name"] for each in manifest["spec"].get("volumeClaimTemplates", [])}
    assert set(mounted(pod)) == volumes.keys() | claimed
    assert mounted(pod)["var"] == f"{container(pod)['workingDir']}/var"
    token, params = volumes["token"]["secret"], volumes["params"]["configMap"]["name"]
    assert made()["configmap", params] == {"params.yaml"}
    keys = {each["key"] for each in token["items"]}
    for each in variables(pod).values():
        if "valueFrom" in each:
            assert each["valueFrom"]["secretKeyRef"]["name"] == token["secretName"]
            keys.add(each["valueFrom"]["secretKeyRef"]["key"])
    assert made()["secret", token["secretName"]] == keys


@both
def test_no_secret_is_in_it_and_no_address_is_outside_of_the_cluster(
    manifest: dict[str, Any], pod: dict[str, Any]
) -> None:
    plain = {name: each["value"] for name, each in variables(pod).items() if "value" in each}
    assert set(plain) == {"HOME", "MLFLOW_TRACKING_URI", TOKEN.file_variable}
    assert str(urlsplit(plain["MLFLOW_TRACKING_URI"]).hostname).endswith(".svc")


@both
def test_it_has_time_to_finish_and_no_rights(manifest: dict[str, Any], pod: dict[str, Any]) -> None:
    versions = 3  # champion, canary and shadow each flush their rows
    waits = int(container(pod)["lifecycle"]["preStop"]["exec"]["command"][1])
    assert pod["terminationGracePeriodSeconds"] >= waits + SETTINGS.drain_seconds + versions * CLOSE_WITHIN
    assert (pod["securityContext"]["runAsNonRoot"], pod["securityContext"]["runAsUser"]) == (True, 10001)
    assert container(pod)["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def test_the_service_finds_the_pods() -> None:
    stateful, service = MANIFESTS[0], MANIFESTS[1]
    labels = stateful["spec"]["template"]["metadata"]["labels"]
    assert service["spec"]["selector"] == stateful["spec"]["selector"]["matchLabels"] == labels
    assert service["metadata"]["name"] == stateful["spec"]["serviceName"]
    assert service["spec"]["ports"][0]["targetPort"] == container(FOUND[0][1])["ports"][0]["name"]
