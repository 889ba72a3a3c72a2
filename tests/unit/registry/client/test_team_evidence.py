"""What a team measured of any MLflow model: signed, judged by the same rules, shown on the same pages."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient

from resnet_ops.errors import ConfigError, DataError, EvidenceError, GateDenied
from resnet_ops.evaluation.calibration import measure_calibration
from resnet_ops.evaluation.metrics import measure_predictions
from resnet_ops_registry import attest_evidence, check, load, promote
from resnet_ops_registry.attestations.evidence import Evidence, metrics_from
from resnet_ops_registry.attestations.keys import make_key, open_key
from resnet_ops_registry.attestations.outcomes import images_digest
from resnet_ops_registry.attestations.predictions_file import read_predictions
from resnet_ops_registry.attestations.trust import revoke_key, trust_key
from resnet_ops_registry.cards.publishing import card_of
from resnet_ops_registry.cards.text import as_markdown
from resnet_ops_registry.client.team_evidence import metrics_of
from resnet_ops_registry.database.tables import open_database
from resnet_ops_registry.portfolio.reading import read_portfolio
from tests.unit.core.evaluation.test_metrics import make_predictions
from tests.unit.registry.conftest import NAME, Publisher, Runner
from tests.unit.registry.team_models import TEAM, answers, govern, make_version, write_predictions

TOP1 = "rule: threshold, metric: test.top1, bound: low, min: 0.85"
NOT_WORSE = (
    "rule: comparison, split: test, mode: not_worse, margin: 0.03, alpha: 0.05, method: mcnemar, "
    "without_champion: pass"
)
N = 900


def sign(version: int, wrong: int, ids: str | None = "row") -> Evidence:
    file = write_predictions(Path(f"{version}.csv"), *answers(N, wrong), ids=ids)
    return attest_evidence(TEAM, version, "ci", predictions=file).evidence


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
@pytest.mark.parametrize("classes", [4, 8])
def test_a_file_of_predictions_comes_to_the_numbers_of_the_pipelines_own_evaluation(
    tmp_path: Path, suffix: str, classes: int
) -> None:
    probabilities, labels = make_predictions(classes=classes)
    names = tuple("abcdefgh"[:classes])
    rows = pd.DataFrame(probabilities, columns=list(names)).add_prefix("p.")
    rows["actual"] = [names[label] for label in labels]
    rows["predicted"] = [names[place] for place in probabilities.argmax(axis=1)]
    file = tmp_path / f"predictions.{suffix}"
    rows.to_csv(file, index=False) if suffix == "csv" else rows.to_parquet(file)
    expected = measure_predictions(probabilities, labels, names, "test", 0.95)
    expected |= measure_calibration(np.log(probabilities), labels, "test", 15, 0.95, 0)
    found = metrics_of(read_predictions(file))
    assert found.pop("data.test.images").n == len(labels)
    assert found.keys() == expected.keys()
    assert ("test.top5" in found) == (classes > 5)
    for name, metric in metrics_from(expected).items():
        assert found[name] == metric, name


def test_answers_alone_come_to_the_same_without_what_needs_probabilities(tmp_path: Path) -> None:
    probabilities, labels = make_predictions(classes=8)
    file = write_predictions(tmp_path / "answers.csv", labels, probabilities.argmax(axis=1), ids=None)
    expected = measure_predictions(probabilities, labels, tuple("01234567"), "test", 0.95)
    del expected["test.top5"]
    found = metrics_of(read_predictions(file))
    assert {name: found[name] for name in expected} == metrics_from(expected)
    assert found.keys() - expected.keys() == {"data.test.images"}


def test_groups_widen_the_intervals_as_they_do_in_the_pipeline(tmp_path: Path) -> None:
    probabilities, labels = make_predictions()
    groups, predicted = np.arange(len(labels)) // 10, probabilities.argmax(axis=1)
    rows = pd.DataFrame({"actual": labels, "predicted": predicted, "group": groups})
    rows.to_csv(tmp_path / "grouped.csv", index=False)
    expected = measure_predictions(probabilities, labels, tuple("0123"), "test", 0.95, groups)
    found = metrics_of(read_predictions(tmp_path / "grouped.csv"))
    assert {name: found[name] for name in expected} == metrics_from(expected)
    assert found["test.top1"].method == "wilson 0.95, 30 groups"


def test_a_true_class_that_was_called_impossible_leaves_the_log_loss_out_and_that_is_said(
    client: MlflowClient,
) -> None:
    govern(TOP1)
    version = make_version(client, "a")
    Path("p.csv").write_text("actual,predicted,p.a,p.b,site\na,a,1,0,x\nb,b,0,1,x\nb,b,1,0,y\n")
    found = attest_evidence(TEAM, version, "ci", predictions=Path("p.csv"))
    assert "test.nll" not in found.evidence.metrics
    assert found.evidence.metrics["test.top1"].value == 1
    said = "\n".join(found.notes)
    for note in (
        "has no column id, so no rule can compare rows",
        "Columns that were not read: site.",
        "In 1 of 3 rows another class than `predicted` is the most probable",
        "test.nll is left out: in 1 of 3 rows",
    ):
        assert note in said


def test_a_worse_version_is_refused_and_a_better_one_replaces_the_champion(client: MlflowClient) -> None:
    govern(f"{TOP1}\n{NOT_WORSE}")
    champion, worse, better = (make_version(client, each) for each in ("champion", "worse", "better"))
    with pytest.raises(GateDenied, match="there is no evidence signed by a trusted pipeline key"):
        promote(TEAM, champion, "champion")
    sign(champion, wrong=45)
    promote(TEAM, champion, "champion")
    sign(worse, wrong=90)
    with pytest.raises(
        GateDenied, match=r"test accuracy -5\.00 points against @champion v1 \(0 won, 45 lost of 900"
    ):
        promote(TEAM, worse, "champion")
    assert int(client.get_model_version_by_alias(TEAM, "champion").version) == champion
    sign(better, wrong=20)
    promote(TEAM, better, "champion")
    assert int(client.get_model_version_by_alias(TEAM, "champion").version) == better


def test_the_order_of_the_rows_does_not_matter_and_other_rows_are_other_images(client: MlflowClient) -> None:
    govern(NOT_WORSE)
    champion, candidate = (make_version(client, each) for each in ("champion", "candidate"))
    sign(champion, wrong=45)
    promote(TEAM, champion, "champion")
    header, *rows = write_predictions(Path("rows.csv"), *answers(N, 30)).read_text().splitlines()
    Path("shuffled.csv").write_text("\n".join([header, *reversed(rows)]))
    attest_evidence(TEAM, candidate, "ci", predictions=Path("shuffled.csv"))
    (rule,) = check(TEAM, candidate, "champion").rules
    assert rule.measured.startswith("+1.67 points against @champion v1 (15 won, 0 lost of 900")
    remedy = "sign predictions of both on the same ids: resnet-ops attest evidence"
    for ids, what in (
        ("other", "@champion v1 was judged on other images"),
        (None, "the candidate has no outcomes"),
    ):
        sign(candidate, wrong=30, ids=ids)
        (reason,) = check(TEAM, candidate, "champion").reasons
        assert what in reason
        assert remedy in reason


def test_a_champion_without_evidence_is_named_with_what_to_do(
    client: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    champion, candidate = (make_version(client, each) for each in ("champion", "candidate"))
    monkeypatch.setenv("RESNET_OPS_UNGOVERNED", "open")  # as it was before there was a gate
    client.set_registered_model_alias(TEAM, "champion", str(champion))
    monkeypatch.delenv("RESNET_OPS_UNGOVERNED")
    govern(NOT_WORSE)
    sign(candidate, wrong=0)
    (reason,) = check(TEAM, candidate, "champion").reasons
    assert reason == (
        "@champion v1 has no evidence that is believed, to compare with; sign predictions of both on the same ids: "
        "resnet-ops attest evidence"
    )
    sign(champion, wrong=45)
    assert check(TEAM, candidate, "champion").allowed


def test_a_policy_can_name_the_rows(client: MlflowClient) -> None:
    import hashlib

    actual, _ = answers(N, 0)
    ids = sorted((f"row{number}", str(truth)) for number, truth in enumerate(actual))
    digest = images_digest((hashlib.sha256(each.encode()).hexdigest(), truth) for each, truth in ids)
    govern(f"rule: data, split: test, images: {{benchmark: {digest}}}")
    version = make_version(client, "a")
    found = sign(version, wrong=0)
    assert found.data["test images"] == f"sha256:{digest}"
    assert check(TEAM, version, "champion").allowed
    sign(version, wrong=0, ids="chosen")
    assert "which are not benchmark" in check(TEAM, version, "champion").reasons[0]
    sign(version, wrong=0, ids=None)
    assert "does not say on which images" in check(TEAM, version, "champion").reasons[0]


def test_metrics_of_any_name_are_signed_judged_and_shown(client: MlflowClient, run: Runner) -> None:
    govern(
        "rule: threshold, metric: test.rmse, bound: high, max: 3\nrule: hardware, profile: server-cpu, match: {cpu: x}"
    )
    version = make_version(client, "a")
    metric = {"value": 3.1, "n": 1200, "low": 2.9, "high": 3.3, "unit": "minutes|x"}
    Path("m.json").write_text(json.dumps({"test.rmse": metric}))
    said = run("attest", "evidence", TEAM, str(version), "--metrics", "m.json", "--key", "ci")
    assert "ci signed 1 metrics of parts v1." in said
    assert "The gate says of @champion: test.rmse 3.1 minutes|x (2.9-3.3, n=1200)" in said
    assert "does not say what server-cpu was measured on" in run("gate", "check", TEAM, "1", status=1)
    assert "is above 3" in run("gate", "explain", TEAM, "1")
    card = run("card", TEAM, "1")
    assert card.startswith("# parts v1\n\nMLflow model, files ")
    assert "| test.rmse | 3.1 minutes&#124;x | 2.9 to 3.3 | 1,200 | test.rmse |" in card
    assert "as a file of metrics told them" in card
    assert "which code made it, and on which machine it was measured, is not known" in card
    for untrue in ("dvc", "nobody typed", "params.yaml", "None"):
        assert untrue not in card
    assert "v1: its evidence does not say test.top1" in run("portfolio", TEAM)
    assert "signed by ci" in run("registry", "ls")
    with pytest.raises(ConfigError, match="is no network of resnet-ops"):
        load(TEAM, 1)


def test_a_file_of_metrics_and_one_of_predictions_are_one_statement_unless_both_say_a_name(
    client: MlflowClient,
) -> None:
    govern(TOP1)
    version = make_version(client, "a")
    predictions = write_predictions(Path("p.csv"), *answers(N, 9))
    Path("m.json").write_text('{"server-cpu.latency_p95_ms": {"value": 4.2, "n": 1000, "unit": "ms"}}')
    found = attest_evidence(TEAM, version, "ci", metrics=Path("m.json"), predictions=predictions).evidence
    assert {"test.top1", "server-cpu.latency_p95_ms"} <= found.metrics.keys()
    assert {"metrics file", "predictions file", "test images"} == found.data.keys()
    Path("m.json").write_text('{"test.top1": {"value": 1, "n": 1}}')
    with pytest.raises(DataError, match=r"m\.json and p\.csv both say test\.top1\. Leave it out of m\.json"):
        attest_evidence(TEAM, version, "ci", metrics=Path("m.json"), predictions=predictions)
    with pytest.raises(
        ConfigError, match=r"nothing to sign\. Name --metrics FILE, --predictions FILE or both"
    ):
        attest_evidence(TEAM, version, "ci")


def test_the_portfolio_compares_versions_of_a_team_as_it_compares_members(
    client: MlflowClient, run: Runner
) -> None:
    govern(TOP1)
    for content, wrong in (("a", 20), ("b", 10)):
        sign(make_version(client, content), wrong)
    client.set_registered_model_alias(TEAM, "shadow", "1")
    found = read_portfolio(TEAM, Path("reports"))
    assert [entry.label for entry in found.entries] == ["v1", "v2"]
    (choice,) = found.choices
    assert choice.proposed is not None
    assert choice.proposed.version == 2
    assert "v2 (mlflow)" in run("portfolio", TEAM)


def test_the_model_card_is_kept_with_the_run_and_words_of_the_team_stay(client: MlflowClient) -> None:
    govern(TOP1)
    silent, described, alone = (
        make_version(client, each, run=each != "alone") for each in ("a", "b", "alone")
    )
    client.update_model_version(TEAM, str(described), "Reads labels; ask Kim.")
    for version in (silent, described):
        sign(version, wrong=9)
    versions = [client.get_model_version(TEAM, str(each)) for each in (silent, described)]
    assert "| test.top1 | 0.990 (" in str(versions[0].description)
    assert versions[1].description == "Reads labels; ask Kim."
    for each in versions:
        kept = {artifact.path for artifact in client.list_artifacts(str(each.run_id))}
        assert {"card.md", "card.html", "evidence", "model"} <= kept
    sign(silent, wrong=18)
    assert "| test.top1 | 0.980 (" in str(client.get_model_version(TEAM, str(silent)).description)
    file = write_predictions(Path("p.csv"), *answers(N, 9))
    found = attest_evidence(TEAM, alone, "ci", predictions=file)
    assert found.notes == ("It has no run, where its model card would be kept.",)
    assert found.refusals == {"@champion": None}
    assert "computed from a file of predictions." in as_markdown(card_of(client, TEAM, alone))


def test_a_run_that_cannot_be_written_costs_the_card_and_not_the_evidence(client: MlflowClient) -> None:
    govern(TOP1)
    version = make_version(client, "a")
    client.delete_run(str(client.get_model_version(TEAM, str(version)).run_id))
    found = attest_evidence(TEAM, version, "ci", predictions=write_predictions(Path("p.csv"), *answers(N, 9)))
    assert found.refusals == {"@champion": None}
    assert found.notes[-1].startswith(
        "Its run keeps no model card: Writing the model card of parts v1 failed"
    )


def test_files_that_change_after_the_signature_are_refused(client: MlflowClient) -> None:
    govern(TOP1)
    version = make_version(client, "a", run=False)
    sign(version, wrong=9)
    (Path("logged") / "a" / "model.pkl").write_text("another")
    assert check(TEAM, version, "champion").reasons == [
        "its files were changed after the evidence was signed"
    ]
    sign(version, wrong=9)
    assert check(TEAM, version, "champion").allowed


def test_a_key_that_counts_for_nothing_is_refused_or_proves_nothing(client: MlflowClient) -> None:
    govern(TOP1)
    version, file = make_version(client, "a"), write_predictions(Path("p.csv"), *answers(N, 9))
    with pytest.raises(ConfigError, match=r"no key var/keys/kim\.pem.*or pipeline, where it signs"):
        attest_evidence(TEAM, version, "kim", predictions=file)
    make_key("kim")
    with pytest.raises(EvidenceError, match="which is not trusted here"):
        attest_evidence(TEAM, version, "kim", predictions=file)
    with open_database() as connection:
        trust_key(connection, open_key("kim").public, "kim", "reviewer")
    found = attest_evidence(TEAM, version, "kim", predictions=file)
    assert found.refusals == {"@champion": "there is no evidence signed by a trusted pipeline key"}


def test_a_version_whose_key_was_revoked_is_signed_again_with_another(client: MlflowClient) -> None:
    govern(TOP1)
    version, file = make_version(client, "a"), write_predictions(Path("p.csv"), *answers(N, 9))
    client.set_model_version_tag(TEAM, str(version), "member", "of the team's own")
    attest_evidence(TEAM, version, "ci", predictions=file)
    with open_database() as connection:
        revoke_key(connection, open_key("ci").public.id)
        trust_key(connection, open_key("new").public, "new", "pipeline")
    assert not check(TEAM, version, "champion").allowed
    assert attest_evidence(TEAM, version, "new", predictions=file).refusals == {"@champion": None}


def test_a_network_of_the_pipeline_keeps_its_evidence(
    client: MlflowClient, published: Publisher, run: Runner
) -> None:
    published()
    before = client.get_model_version(NAME, "1").tags
    line = ["attest", "evidence", NAME, "1", "--key", "pipeline", "--predictions"]
    with pytest.raises(ConfigError, match=r"is a network that a pipeline published.*attest evaluation"):
        run(*line, str(write_predictions(Path("p.csv"), *answers(N, 9))))
    assert client.get_model_version(NAME, "1").tags == before


def test_a_team_model_is_not_measured_by_what_measures_networks(client: MlflowClient, run: Runner) -> None:
    from tests.unit.registry.measured_versions import prepare

    govern(TOP1)
    prepare(Path())
    sign(make_version(client, "a"), wrong=9)
    with pytest.raises(
        ConfigError, match=r"parts v1 is no network of resnet-ops.*mlflow\.pyfunc\.load_model"
    ):
        run("attest", "evaluation", TEAM, "1", "--key", "ci")


def test_the_signed_form_has_no_field_that_an_older_release_does_not_know(client: MlflowClient) -> None:
    govern(TOP1)
    said = sign(make_version(client, "a"), wrong=9).as_signed()
    fields = [
        "member",
        "weights_digest",
        "format",
        "exported_from",
        "metrics",
        "data",
        "source",
        "environment",
    ]
    assert set(said) == {*fields, "hardware", "seeds", "outcomes", "checks", "exports", "created"}
    assert (said["member"], said["format"], said["hardware"], said["checks"]) == ("", "mlflow", {}, {})
    assert said["source"] == {"commit": "", "dirty": False, "dvc_lock": None}


def test_nothing_is_passed_where_nothing_is_known(client: MlflowClient, run: Runner) -> None:
    version = make_version(client, "a")
    with open_database() as connection:
        trust_key(connection, open_key("ci").public, "ci", "pipeline")
    file = str(write_predictions(Path("p.csv"), *answers(N, 9)))
    said = run("attest", "evidence", TEAM, str(version), "--predictions", file, "--key", "ci")
    assert "No policy governs parts yet" in said
    assert "No policy governs parts." in run("gate", "check", TEAM, "1", status=1)
    assert json.loads(run("gate", "check", TEAM, "1", "--json", status=1)) == []
