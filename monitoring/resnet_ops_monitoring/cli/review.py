"""Commands of `resnet-ops drift` by which people answer a verdict: ack, comment, accept, rollback, reference, ui."""

from pathlib import Path
from typing import Annotated

import typer

from resnet_ops.console import console, report_errors

__all__ = ["add_review_commands"]

Window = Annotated[str, typer.Argument(help="Name of a judged window, as in `resnet-ops drift report`.")]
Key = Annotated[str, typer.Option(help="Name of your signing key, as in `resnet-ops keys ls`.")]
Why = Annotated[str, typer.Option(help="For whoever reads the ledger, at most 500 characters.")]
Reports = Annotated[
    Path | None,
    typer.Option(
        help="Folder with one sub-folder for each judged window; else reports/drift and var/monitor."
    ),
]
DATA, PARAMS = Path("data/prepared"), Path("params.yaml")


def add_review_commands(drift: typer.Typer) -> None:
    """Add the commands of this module to `drift`."""
    for command in (ack, comment, accept, rollback, reference, ui):
        drift.command(command.__name__)(command)


def ack(
    window: Window,
    key: Key,
    comment: Annotated[str, typer.Option(help="For whoever reads the ledger, at most 500 characters.")] = "",
    reports: Reports = None,
) -> None:
    """Say with your signature that you have seen a window's verdict."""
    with report_errors("drift ack"):
        from resnet_ops_monitoring.service.reviewing import judged_window, review
        from resnet_ops_registry.attestations.keys import read_key
        from resnet_ops_registry.common.connection import connect

        signer = read_key(key)
        verdict = review(connect(), judged_window(reports, window), "acknowledge", comment, signer)
        console.print(f"{key} has seen {window} of {verdict.identity}: {verdict.headline}.")
        console.print(f"Who said what: resnet-ops ledger show --model {verdict.identity.name}")


def comment(
    window: Window,
    text: Annotated[str, typer.Argument(help="At most 500 signs.")],
    key: Key,
    reports: Reports = None,
) -> None:
    """Say something about a window with your signature; it shows on the window's page."""
    with report_errors("drift comment"):
        from resnet_ops_monitoring.service.reviewing import judged_window, review
        from resnet_ops_registry.attestations.keys import read_key
        from resnet_ops_registry.common.connection import connect

        signer = read_key(key)
        folder = judged_window(reports, window)
        verdict = review(connect(), folder, "comment", text, signer)
        console.print(f"{key} commented on {window} of {verdict.identity}.")
        console.print(f"It is on the page: {folder / 'review.html'}")


def accept(window: Window, why: Why, key: Key, reports: Reports = None) -> None:
    """Take a window as the new normal: later ones of the version are judged against it. A reviewer's key signs."""
    with report_errors("drift accept"):
        from resnet_ops_monitoring.inference_log.log import InferenceLog
        from resnet_ops_monitoring.service.reviewing import accept as accept_it
        from resnet_ops_monitoring.service.reviewing import judged_window
        from resnet_ops_registry.attestations.keys import read_key
        from resnet_ops_registry.common.connection import connect

        signer = read_key(key)
        folder = judged_window(reports, window)
        verdict = accept_it(connect(), folder, why, signer, InferenceLog.open())
        console.print(
            f"{window} is the new normal of {verdict.identity}: {verdict.rows} rows, accepted by {key}."
        )
        console.print("Judge the next window against it: resnet-ops drift judge --stored --window NAME")
        console.print(f"It counts until the key is revoked: resnet-ops keys revoke {signer.public.id[:12]}")


def rollback(
    window: Window,
    alias: Annotated[str, typer.Argument(help="Such as champion.")],
    why: Why,
    key: Key,
    reports: Reports = None,
) -> None:
    """Give an alias back through the gate, with a window as the signed reason. Exit 1 when it is refused."""
    with report_errors("drift rollback"):
        from resnet_ops_monitoring.service.reviewing import judged_window, roll_back_for
        from resnet_ops_registry.attestations.keys import read_key
        from resnet_ops_registry.common.connection import connect

        signer = read_key(key)
        verdict, version, name = roll_back_for(connect(), judged_window(reports, window), alias, why, signer)
        model = verdict.identity.name
        console.print(f"{model} v{version} is @{name} again, because of {window} ({verdict.headline}).")
        console.print(f"The whole story: resnet-ops ledger show --model {model}")
        console.print(
            f"Keep the other one out: resnet-ops retire {model} {verdict.identity.version} --why TEXT --key {key}"
        )


def reference(
    model: Annotated[str, typer.Argument(help="Registered model.")],
    version: Annotated[int, typer.Argument(help="Its version.", min=1)],
    data: Annotated[
        Path, typer.Option(help="Prepared data that the version was trained and tested with.")
    ] = DATA,
    params: Annotated[Path, typer.Option(help="File with the settings, under monitor.")] = PARAMS,
    key: Annotated[str, typer.Option(help="Name of the key that signs it.")] = "pipeline",
) -> None:
    """Make what a version's windows are judged against, of its held-out test images; sign it, keep it in MLflow."""
    with report_errors("drift reference"):
        from resnet_ops.console import progress_bar
        from resnet_ops.data import load_prepared
        from resnet_ops.data.trained_on import leave_out
        from resnet_ops.tasks.watching.at_threshold import at_threshold
        from resnet_ops_monitoring.drift.held_out import held_out_reference
        from resnet_ops_monitoring.inference_log.identity import ModelIdentity
        from resnet_ops_monitoring.report.stored_reference import registered_version, store_reference
        from resnet_ops_monitoring.settings.drift import read_reference_params
        from resnet_ops_registry.attestations.keys import read_key
        from resnet_ops_registry.client.loading import load
        from resnet_ops_registry.common.connection import connect
        from resnet_ops_registry.gate.signed_evidence import evidence_of

        signer = read_key(key)
        settings, seed, group = read_reference_params(params)
        prepared = load_prepared(data)
        loaded, client = load(model, version), connect()
        test = leave_out(prepared, loaded.trained_on or (), "test")[0].split("test")
        identity = ModelIdentity(loaded.name, str(loaded.version), loaded.weights_digest)
        evidence = evidence_of(client, registered_version(client, identity)).evidence
        network = at_threshold(loaded.model, evidence.score_threshold)
        with progress_bar(f"Calibrating with {identity}") as progress:
            made = held_out_reference(
                network,
                identity,
                test,
                settings,
                seed,
                progress,
                evidence.operating_point,
                group,
                evidence,
            )
        store_reference(client, made, signer)
        console.print(
            f"MLflow keeps a reference of {identity} now, of {made.seen} held-out images, signed by {key}."
        )


def ui(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.", min=1, max=65535)] = 8000,
) -> None:
    """Start Evidently's own UI on every window that was judged, by version and over time."""
    with report_errors("drift ui"):
        from resnet_ops_monitoring.report.evidently_workspace import run_ui

        run_ui(host, port)
