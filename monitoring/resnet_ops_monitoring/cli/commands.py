"""Commands of `resnet-ops` that belong to monitoring: `drift judge|report` and `log show|label|export|purge|serve`."""

import json
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from resnet_ops.console import console, report_errors
from resnet_ops.extras import require
from resnet_ops.messages import plain
from resnet_ops_monitoring.cli.moments import read_moment
from resnet_ops_monitoring.cli.monitor import add_monitor_commands
from resnet_ops_monitoring.cli.review import add_review_commands
from resnet_ops_monitoring.cli.score import score
from resnet_ops_monitoring.cli.serve import add_serve_commands
from resnet_ops_monitoring.cli.sink import serve_log
from resnet_ops_monitoring.cli.traffic import traffic

if TYPE_CHECKING:
    from collections.abc import Collection

    from resnet_ops_monitoring.inference_log.identity import ModelIdentity

__all__ = ["add_commands"]

_Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
_Reports = Annotated[Path, typer.Option(help="Folder with one sub-folder for each judged window.")]


def add_commands(app: typer.Typer) -> None:
    """Add this package's commands to the application."""
    drift = typer.Typer(
        no_args_is_help=True, help="Judge time ranges of production traffic, and list what was judged."
    )
    drift.command("judge")(_judge)
    drift.command("report")(_report)
    add_review_commands(drift)
    log = typer.Typer(
        no_args_is_help=True, help="The inference log: what is in it, and true classes learned later."
    )
    log.command("show")(_show)
    log.command("label")(_label)
    log.command("export")(_export)
    log.command("purge")(_purge)
    log.command("serve")(serve_log)
    log.command("forget", hidden=True)(_purge)  # the name of earlier releases
    app.add_typer(drift, name="drift")
    app.add_typer(log, name="log")
    add_monitor_commands(app)
    add_serve_commands(app)
    app.command("score")(score)
    app.command("traffic")(traffic)


def _judge(
    window: Annotated[str | None, typer.Option(help="A named replay in the log.")] = None,
    since: Annotated[str | None, typer.Option(help="First moment, such as 2026-01-31T08:00Z.")] = None,
    until: Annotated[str | None, typer.Option(help="First moment after the time range.")] = None,
    reference: Annotated[Path, typer.Option(help="What to judge against.")] = Path(
        "data/reference/reference.parquet"
    ),
    params: Annotated[Path, typer.Option(help="File with the settings, under monitor.drift.")] = Path(
        "params.yaml"
    ),
    reports: _Reports = Path("reports/drift"),
    publish: Annotated[bool, typer.Option(help="Also put the pages into MLflow.")] = False,
    stored: Annotated[
        bool,
        typer.Option(help="Judge against what MLflow keeps: a reference that a reviewer accepted, if any."),
    ] = False,
    as_json: _Json = False,
) -> None:
    """Judge one time range of the log and write its review page. Exit 0: ok; 1: alarm, or too little data."""
    if (window is None) == (since is None) or (until is not None and since is None):
        raise typer.BadParameter("give either --window NAME, or --since TIME and perhaps --until TIME")
    start, end = _moment(since, "--since"), _moment(until, "--until")
    with report_errors("drift judge"):
        require("The report of a window", "evidently")  # before the work
        from resnet_ops_monitoring.drift.reference import load_reference
        from resnet_ops_monitoring.drift.time_ranges import judge_time_range
        from resnet_ops_monitoring.drift.verdict import check_window_name
        from resnet_ops_monitoring.inference_log.log import InferenceLog
        from resnet_ops_monitoring.report.evidently_workspace import workspace_folder
        from resnet_ops_monitoring.report.report import PageContext, write_window
        from resnet_ops_monitoring.settings.drift import read_drift_params

        if window is not None:
            check_window_name(window)
        settings, before = read_drift_params(params), load_reference(reference)
        identity = before.identity
        if stored:
            from resnet_ops_monitoring.report.stored_reference import fetch_reference
            from resnet_ops_registry.common.connection import connect

            before = fetch_reference(connect(), identity)
        name = window or f"{start:%Y%m%dT%H%M%S}-{f'{end:%Y%m%dT%H%M%S}' if end else 'now'}"
        log = InferenceLog.open()
        judged = judge_time_range(log, before, settings, name=name, start=start, end=end, window=window)
        verdict, folder = judged.verdict, reports / name
        context = PageContext(role=None)
        write_window(folder, verdict, judged.rows, before, settings, context, workspace=workspace_folder())
        link = ""
        if publish:
            from resnet_ops_monitoring.report.publish import publish_window
            from resnet_ops_registry.common.connection import connect

            link = publish_window(connect(), folder)
        if as_json:
            typer.echo(json.dumps({**verdict.to_dict(), "page": str(folder / "review.html"), "mlflow": link}))
        else:
            console.print(
                f"{name}: {verdict.headline}. {verdict.reason}\nLook at: {folder / 'review.html'} {link}"
            )
    raise typer.Exit(0 if verdict.passed else 1)


def _moment(text: str | None, option: str) -> datetime | None:
    return None if text is None else read_moment(text, option)


def _report(reports: _Reports = Path("reports/drift"), as_json: _Json = False) -> None:
    """List the judged windows with their verdicts and where to look. Exit 1 when one of them did not pass."""
    with report_errors("drift report"):
        from rich.table import Table

        from resnet_ops_monitoring.drift.verdict import load_verdict

        found = {path.parent: load_verdict(path) for path in sorted(reports.glob("*/verdict.json"))}
        ordered = sorted(found.items(), key=lambda item: (str(item[1].end), item[1].window))
        if as_json:
            listed = [
                {**verdict.to_dict(), "page": str(folder / "review.html")} for folder, verdict in ordered
            ]
            typer.echo(json.dumps(listed))
        elif not found:
            console.print(
                f"No window was judged yet: {reports} holds no verdict. Run: dvc repro monitor_drift"
            )
        else:
            table = Table("window", "model", "rows", "verdict", "reason", "page", box=None)
            for folder, verdict in ordered:
                page = str(folder / "review.html")
                table.add_row(
                    verdict.window,
                    str(verdict.identity),
                    str(verdict.rows),
                    verdict.headline,
                    verdict.reason,
                    page,
                )
            console.print(table)
    raise typer.Exit(0 if all(verdict.passed for verdict in found.values()) else 1)


def _show(as_json: _Json = False) -> None:
    """Show what the inference log holds: rows and labels for each model version and window, and what it lacks."""
    with report_errors("log show"):
        from rich.table import Table

        from resnet_ops_monitoring.inference_log.gaps import list_gaps
        from resnet_ops_monitoring.inference_log.log import InferenceLog

        log = InferenceLog.open()
        summary, gaps = log.summary(), list_gaps(log)
        if as_json:
            rows = json.loads(summary.to_json(orient="records", date_format="iso"))
            typer.echo(json.dumps({"rows": rows, "gaps": [asdict(gap) for gap in gaps]}, default=str))
            return
        if summary.empty and not gaps:
            console.print(f"The inference log {log.place} is empty.")
        if not summary.empty:
            table = Table(*map(str, summary.columns), box=None)
            for row in summary.itertuples(index=False):
                table.add_row(*("" if value is None else str(value) for value in row))
            console.print(table)
        if gaps:
            table = Table("gaps of", "route", "source", "lost", "late", "from", "to", "why", box=None)
            for gap in gaps:
                times = (f"{moment:%Y-%m-%d %H:%M:%S}" for moment in (gap.since, gap.until))
                numbers = (f"{gap.lost:,}", f"{gap.late:,}")
                who = (str(gap.identity), gap.route, plain(gap.source or ""))
                table.add_row(*who, *numbers, *times, plain(gap.reason))
            console.print(table)


def _label(
    file: Annotated[Path, typer.Argument(help="CSV with the columns request_id and label (a class name).")],
    sample: Annotated[
        bool,
        typer.Option(
            "--sample",
            help="The images are a random sample, or all of them, so their labels estimate accuracy. Without this, "
            "only labels of images that `monitor propose` drew at random do.",
        ),
    ] = False,
    by: Annotated[str, typer.Option(help="Who labelled; without it, the user of this machine.")] = "",
) -> None:
    """Add true classes to logged requests; repeating it changes nothing. The latest counts, and all are kept."""
    with report_errors("log label"):
        from resnet_ops.csv_table import read_table
        from resnet_ops.errors import DataError
        from resnet_ops_monitoring.inference_log.labels import give_labels
        from resnet_ops_monitoring.inference_log.log import InferenceLog
        from resnet_ops_registry.common.actor import actor

        table = read_table(file, ("request_id", "label"))
        empty = [
            f"line {line}: request_id or label is empty"
            for line, row in table.rows
            if not (row["request_id"] and row["label"])
        ]
        if empty or table.wrong:
            shown = "\n  ".join([*table.wrong, *empty])
            raise DataError(
                f"{file}: {len(empty) + len(table.wrong)} rows cannot be used. Correct them:\n  {shown}"
            )
        if sample and any("why" in row for _, row in table.rows):
            raise DataError(
                f"{file} is a labelling list, half of which are hard images: no random sample. Leave --sample out; the "
                "log knows which of them were drawn at random."
            )
        ids = [row["request_id"] for _, row in table.rows]
        changed = give_labels(
            InferenceLog.open(),
            ids,
            [row["label"] for _, row in table.rows],
            by=by or actor(),
            at=datetime.now(UTC),
            chosen="random" if sample else "complaint",
            classes_of=_registered_classes,
        )
        console.print(f"{changed} labels set or changed, {len(ids) - changed} were there already.")


def _registered_classes(identity: "ModelIdentity") -> "Collection[str] | None":
    """The classes of a registered version; None, which is said, where the registry cannot be asked."""
    from mlflow.exceptions import MlflowException

    from resnet_ops.errors import ResnetOpsError
    from resnet_ops_registry.client.loading import load

    try:
        return load(f"models:/{identity.name}/{identity.version}").model.classes
    except (ResnetOpsError, MlflowException) as error:
        console.print(f"Cannot check whether labels are classes of {identity}: {error}", style="yellow")
        return None


def _export(
    folder: Annotated[
        Path, typer.Argument(help="Folder to write to; hours that are there already are rewritten.")
    ],
    model: Annotated[str, typer.Option(help="The registered model whose rows are exported.")],
    since: Annotated[str | None, typer.Option(help="First moment, such as 2026-01-31T08:00Z.")] = None,
    until: Annotated[str | None, typer.Option(help="First moment after the time range.")] = None,
) -> None:
    """Write rows as parquet, one file for each hour, for jobs on other machines."""
    start, end = _moment(since, "--since"), _moment(until, "--until")
    with report_errors("log export"):
        from resnet_ops_monitoring.drift.partitions import export_log
        from resnet_ops_monitoring.inference_log.log import InferenceLog

        log = InferenceLog.open()
        written = export_log(log, folder, model, start=start, end=end)
        if written:
            console.print(f"{sum(written.values())} rows in {len(written)} hours: {folder}")
        else:
            console.print(
                f"The inference log {log.place} holds no rows of {plain(model)} then. Nothing was written."
            )


def _purge(
    before: Annotated[str, typer.Option(help="First moment to keep, such as 2026-01-31T00:00Z.")],
    yes: Annotated[bool, typer.Option("--yes", help="Delete; without it the rows are only counted.")] = False,
    key: Annotated[
        str, typer.Option(help="An operator's key, for rows younger than monitor.keep_days.")
    ] = "",
    why: Annotated[str, typer.Option(help="For whoever reads the ledger, where rows are younger.")] = "",
    params: Annotated[Path, typer.Option(help="File with the settings, under monitor.")] = Path(
        "params.yaml"
    ),
) -> None:
    """Delete all inferences from before a moment, for good. Verdicts, reports and the ledger stay."""
    moment = read_moment(before, "--before")
    with report_errors("log purge"):
        from resnet_ops_monitoring.inference_log.log import InferenceLog
        from resnet_ops_monitoring.service.purging import purge
        from resnet_ops_monitoring.settings.service import read_keep_days
        from resnet_ops_registry.attestations.keys import read_key

        log, when = InferenceLog.open(), f"{moment:%Y-%m-%d %H:%M} UTC"
        if not yes:
            rows = log.count_before(moment)
            console.print(f"{rows} rows are from before {when}. Nothing was deleted; to delete them: --yes")
            return
        rows, recorded = purge(
            log,
            moment,
            keep_days=read_keep_days(params),
            by=read_key(key) if key else None,
            why=why,
            now=datetime.now(UTC),
        )
        told = "The ledger has it." if recorded else "The ledger, which is behind a server, does not have it."
        console.print(f"{rows} rows from before {when} deleted. {told}")
