"""Command of `resnet-ops` that scores images without a server: score."""

from pathlib import Path
from typing import Annotated

import typer

from resnet_ops.console import console, progress_bar, report_errors
from resnet_ops.extras import require
from resnet_ops_monitoring.cli.log_url import Log, log_url
from resnet_ops_monitoring.cli.traffic import read_pattern

__all__ = ["score"]


def score(
    uri: Annotated[str, typer.Argument(help="models:/NAME@ALIAS.")],
    images: Annotated[
        Path, typer.Argument(help="Folder of images, at any depth; or a parquet file of them.")
    ],
    source: Annotated[str | None, typer.Option(help="Camera or line, for the log.")] = None,
    group: Annotated[
        str,
        typer.Option(
            help=r"Regular expression of what in a name is its group, such as 'patient\d+'; else none."
        ),
    ] = "",
    params: Annotated[Path, typer.Option(help="File with the settings, under serve and data.")] = Path(
        "params.yaml"
    ),
    log: Log = "",
    ungated: Annotated[bool, typer.Option("--ungated", help="Also what the gate never let pass.")] = False,
) -> None:
    """Ask a version that the gate let pass about many images, and log its answers. Exit 1: an image cannot be read."""
    with report_errors("score"):
        require("score", "fastapi", "pandas", "PIL", "pyarrow")
        from resnet_ops_monitoring.serving.batch_scoring import Job

        job = Job(uri, params, log_url(log), ungated, source, read_pattern(group))
        scorer = job.opened()
        if images.is_dir():
            with progress_bar("Images") as progress:
                done = scorer.folder(images, progress)
        else:
            done = scorer.parquet(images)
        for line in done.broken:
            console.print(line, style="yellow")
        console.print(f"{scorer.log.place}: {done.images} images, {done.new} new, by {scorer.identity}")
    raise typer.Exit(1 if done.broken else 0)
