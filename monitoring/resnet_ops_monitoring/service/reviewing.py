"""What a person does about a judged window: say so with their signature, accept it as the new normal, roll back."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

import pandas as pd
from mlflow import MlflowClient

from resnet_ops.errors import ConfigError, DataError
from resnet_ops.files import file_digest, write_text
from resnet_ops_monitoring.drift.reference import accept_window
from resnet_ops_monitoring.drift.verdict import Verdict, check_window_name, load_verdict
from resnet_ops_monitoring.inference_log.log import InferenceLog
from resnet_ops_monitoring.report.publish import publish_window
from resnet_ops_monitoring.report.report import PAGE, VERDICT
from resnet_ops_monitoring.report.review_lines import with_reviews
from resnet_ops_monitoring.report.stored_reference import fetch_labelled, registered_version, store_reference
from resnet_ops_registry.attestations.keys import PrivateKey
from resnet_ops_registry.attestations.predicates import Review, spoken
from resnet_ops_registry.client.attesting import attest
from resnet_ops_registry.client.rollback import roll_back
from resnet_ops_registry.common.mlflow_errors import asked
from resnet_ops_registry.common.target import Target
from resnet_ops_registry.gate.reviews import reviews_of

__all__ = ["accept", "judged_window", "review", "roll_back_for"]

Action = Literal["acknowledge", "comment", "accept-reference", "rollback"]


PLACES = Path("reports/drift"), Path("var/monitor")
"""Where the pipeline and the monitor put judged windows, a folder each."""


def judged_window(reports: Path | None, window: str) -> Path:
    """The folder of a judged window, in `reports` or else in PLACES.

    Raises DataError when it was not judged, or its name is none.
    """
    check_window_name(window)
    places = PLACES if reports is None else (reports,)
    for place in places:
        if (place / window / VERDICT).is_file():
            return place / window
    looked = " and ".join(str(place / window / VERDICT) for place in places)
    raise DataError(
        f"Window {window} was not judged: {looked} {'are' if len(places) > 1 else 'is'} missing. See what was: "
        "resnet-ops drift report, resnet-ops monitor show"
    )


def review(
    client: MlflowClient,
    folder: Path,
    action: Action,
    comment: str,
    key: PrivateKey,
    reference: str | None = None,
) -> Verdict:
    """Sign what is said of a window's verdict, have the registry keep it, and show it on the window's page.

    A call that was cut off after the registry had it is completed by the next one. Raises ConfigError for words that
    cannot be signed, EvidenceError when the registry does not accept the statement.
    """
    verdict, digest = load_verdict(folder / VERDICT), file_digest(folder / VERDICT)
    review = spoken(
        Review,
        window=verdict.window,
        verdict=verdict.headline,
        verdict_digest=digest,
        action=action,
        comment=comment,
        reference=reference,
        created=datetime.now(UTC),
    )
    registered_version(client, verdict.identity)
    found = attest(client, verdict.identity.name, int(verdict.identity.version), review, key)
    if (folder / PAGE).is_file():
        page = (folder / PAGE).read_text()
        write_text(folder / PAGE, with_reviews(page, verdict, reviews_of(found, verdict.window)))
        publish_window(client, folder)
    return verdict


def accept(client: MlflowClient, folder: Path, why: str, key: PrivateKey, log: InferenceLog) -> Verdict:
    """Make a window's rows what the version's later windows are judged against.

    Raises DataError when the window was not judged by its rows, or the log holds other rows by now.
    """
    verdict = load_verdict(folder / VERDICT)
    if not verdict.findings:
        raise DataError(
            f"Window {verdict.window} cannot be a reference: {verdict.headline}. Accept one that was judged."
        )
    now = datetime.now(UTC)
    rows = _rows(log, verdict)
    labelled = fetch_labelled(client, verdict.identity)
    accepted = accept_window(labelled, rows, by=key.name, why=why, at=now)
    digest = store_reference(client, accepted)
    return review(client, folder, "accept-reference", why, key, digest)


def _rows(log: InferenceLog, verdict: Verdict) -> pd.DataFrame:
    name, digest = verdict.identity.name, verdict.identity.digest
    rows = log.read(name, digest=digest, window=verdict.window)
    if not len(rows) and verdict.start and verdict.end:
        end = verdict.end + timedelta(microseconds=1)
        rows = log.read(name, digest=digest, start=verdict.start, end=end)
    if len(rows) != verdict.rows:
        raise DataError(
            f"Window {verdict.window} was judged by {verdict.rows} rows, but {log.place} holds {len(rows)} of it now. "
            "Judge it again, look at the page, then accept it."
        )
    return rows


def roll_back_for(
    client: MlflowClient, folder: Path, alias: str, why: str, key: PrivateKey
) -> tuple[Verdict, int, str]:
    """Name a window as the reason, then give the alias back through the gate; gives verdict, version and alias.

    Raises ConfigError when the alias is not the judged version's, so that a repeat goes back once only; GateDenied when
    no earlier version passes.
    """
    verdict = load_verdict(folder / VERDICT)
    registered_version(client, verdict.identity)
    target = Target.named(alias)
    with asked(f"Looking for {target.label}"):
        aliases = client.get_registered_model(verdict.identity.name).aliases
    holding = (number for name, number in aliases.items() if Target.named(name).same_as(target))
    holder = next(map(str, holding), None)
    if holder != verdict.identity.version:
        who = f"v{holder} is" if holder else "no version is"
        raise ConfigError(
            f"Window {verdict.window} is about {verdict.identity}, but {who} {target.label}: there is nothing to roll "
            f"back. See who decided what: resnet-ops ledger show --model {verdict.identity.name}"
        )
    review(client, folder, "rollback", f"{target.label}: {why}", key)
    version, name = roll_back(verdict.identity.name, alias)
    return verdict, version, name
