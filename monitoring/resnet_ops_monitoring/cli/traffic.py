"""Command of `resnet-ops` that sends simulated traffic to a server: traffic."""

import re
from pathlib import Path
from typing import Annotated

import typer

from resnet_ops.console import console, progress_bar, report_errors
from resnet_ops.extras import require

__all__ = ["read_pattern", "traffic"]


def traffic(
    folder: Annotated[Path, typer.Argument(help="Images, at any depth; FOLDER/CLASS/IMAGE for labels.")],
    url: Annotated[str, typer.Option(help="Of the running server.")] = "http://127.0.0.1:8080",
    requests: Annotated[int, typer.Option(help="How many images are sent.")] = 1000,
    rate: Annotated[float, typer.Option(help="Requests a second, on average.")] = 10.0,
    sources: Annotated[int, typer.Option(help="Cameras that send in turn.")] = 1,
    corruption: Annotated[
        str, typer.Option(help="What befalls the images, such as gaussian_noise, fog or motion_blur.")
    ] = "",
    severity: Annotated[int, typer.Option(min=1, max=5, help="Of the corruption.")] = 3,
    after: Annotated[float, typer.Option(help="Share of the requests before the corruption begins.")] = 0.0,
    label_delay: Annotated[
        float | None, typer.Option(help="Seconds until an image's folder is its label in the log; else none.")
    ] = None,
    group: Annotated[
        str,
        typer.Option(
            help=r"Regular expression of what in a file's path names its group, such as 'patient\d+'; else none."
        ),
    ] = "",
    seed: Annotated[int, typer.Option(help="Of the choice of images, their times and the corruption.")] = 0,
) -> None:
    """Send SIMULATED traffic to a running server: a folder of images at a rate, for trying monitoring and alarms."""
    with report_errors("traffic"):
        from resnet_ops.errors import ConfigError

        require("serve", "requests", "PIL")
        from resnet_ops.evaluation.corruptions.corrupt import CORRUPTIONS
        from resnet_ops_monitoring.inference_log.log import InferenceLog
        from resnet_ops_monitoring.serving.running import ask_status, asking
        from resnet_ops_monitoring.serving.traffic import SIMULATED, Corruption, Plan, Traffic

        if corruption and corruption not in CORRUPTIONS:
            raise ConfigError(f"{corruption[:50]!r} is none of the corruptions {', '.join(CORRUPTIONS)}.")
        chosen = Corruption(corruption, severity, after) if corruption else None
        plan = Plan(
            requests=requests,
            rate=rate,
            sources=sources,
            corruption=chosen,
            label_delay=label_delay,
            seed=seed,
            group=read_pattern(group),
        )
        ask_status(url)
        console.print(SIMULATED, style="yellow")
        log = None if label_delay is None else InferenceLog.open()
        with progress_bar("Requests") as progress:
            sent = Traffic(folder, plan, asking(url)).run(log, progress)
        for status, count in sorted(sent.statuses.items()):
            console.print(f"{count:,} requests: {f'status {status}' if status else 'no answer'}")
        if log is not None:
            console.print(f"{sent.labelled:,} labels in {log.place}")
    raise typer.Exit(0 if sent.statuses.get(200) else 1)


def read_pattern(words: str) -> re.Pattern[str] | None:
    """Of --group; None for none. Raises ConfigError for what is no regular expression."""
    from resnet_ops.errors import ConfigError

    try:
        return re.compile(words) if words else None
    except re.error as error:
        raise ConfigError(f"--group is no regular expression: {error}.") from None
