"""Commands of `resnet-ops` that sign what was found out about a version: attest evidence, evaluation, reproduction."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from resnet_ops.console import console
from resnet_ops_registry.cli.common import LARGEST, Key, Model, Version

__all__ = ["attest"]

attest = typer.Typer(help="Sign what you found out about a version.", no_args_is_help=True)


@attest.command("evidence")
def attest_evidence(
    model: Model,
    version: Version,
    key: Key,
    metrics: Annotated[
        Path | None,
        typer.Option(help="JSON: by name an object with value and n, and perhaps low, high, method, unit."),
    ] = None,
    predictions: Annotated[
        Path | None,
        typer.Option(
            help="CSV or parquet: actual, predicted, and perhaps id, group and p.CLASS; or, with --truth, JSON: "
            "a list of image_id, category_id, bbox and score. Measured here."
        ),
    ] = None,
    truth: Annotated[
        Path | None,
        typer.Option(
            help="True boxes: COCO JSON, CSV, a folder of Pascal VOC or YOLO, a list of VOC's images."
        ),
    ] = None,
    images: Annotated[
        Path | None, typer.Option(help="Folder of the images, to check --truth against; YOLO needs it.")
    ] = None,
    faults: Annotated[
        Literal["refuse", "drop", "clip"],
        typer.Option(help="What becomes of faults in --truth: refuse, drop, or clip boxes and drop."),
    ] = "refuse",
    threshold: Annotated[
        float, typer.Option(help="Score from which a box counts in production.", min=0, max=1)
    ] = 0.5,
) -> None:
    """Sign what you measured of a version of any MLflow model yourself, bound to its files."""
    from resnet_ops.tasks.beside_truth import Truth
    from resnet_ops_registry.attestations.evidence import show_metric
    from resnet_ops_registry.client.team_evidence import attest_evidence as attest_it

    beside = Truth(truth, images, faults, threshold) if truth else None
    found = attest_it(model, version, key, metrics=metrics, predictions=predictions, truth=beside)
    measured = found.evidence.metrics
    console.print(f"{key} signed {len(measured)} metrics of {model} v{version}.")
    for name in found.first:
        if name in measured:
            console.print(f"{name} {show_metric(measured[name])}")
    for note in found.notes:
        console.print(note)
    for target, refusal in found.refusals.items():
        console.print(f"The gate says of {target}: {refusal or 'passes'}")
    if not found.refusals:
        console.print(f"No policy governs {model} yet; an operator applies one: resnet-ops policy apply FILE")


@attest.command("reproduction")
def attest_reproduction(
    model: Model,
    version: Version,
    weights: Annotated[Path, typer.Option(help="Folder of the retrained model, such as models/resnet20.")],
    key: Key,
    measurements: Annotated[
        Path | None, typer.Option(help="Its measurements.json, if it was evaluated.")
    ] = None,
) -> None:
    """Sign the result of repeating a version's training."""
    from resnet_ops_registry.attestations.keys import read_key
    from resnet_ops_registry.client.reproduction import attest_reproduction as attest_it

    compared = attest_it(model, version, weights, measurements, read_key(key))
    for line in compared:
        console.print(line)
    console.print(f"What it changes: resnet-ops gate explain {model} {version}")


@attest.command("evaluation")
def attest_evaluation(
    model: Model,
    versions: Annotated[
        list[int],
        typer.Argument(
            metavar="VERSION...",
            help="Versions to measure on the same images, which none of them has seen.",
            min=1,
            max=LARGEST,
        ),
    ],
    key: Annotated[
        str, typer.Option(help="Name of the signing key, of a role whose evidence counts.")
    ] = "pipeline",
    data: Annotated[Path, typer.Option(help="Prepared data.")] = Path("data/prepared"),
    params: Annotated[Path, typer.Option(help="File with the settings, under evaluate.")] = Path(
        "params.yaml"
    ),
) -> None:
    """Measure registered versions on today's test images, and sign that as their new evidence."""
    from resnet_ops.console import progress_bar
    from resnet_ops_registry.attestations.keys import read_key
    from resnet_ops_registry.client.remeasurement import attest_evaluation as attest_it

    with progress_bar("Measuring") as progress:
        lines = attest_it(model, versions, data, params, read_key(key), progress)
    for line in lines:
        console.print(line)
    console.print(f"What it changes: resnet-ops gate explain {model} {versions[-1]}")
