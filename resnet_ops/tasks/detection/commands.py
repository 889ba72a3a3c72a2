"""Commands of `resnet-ops` about boxes: check labels, measure detections, choose the score from which boxes count."""

import json
from pathlib import Path
from typing import Annotated, Literal

import typer

from resnet_ops.console import console

__all__ = ["boxes"]

boxes = typer.Typer(help="Look at labels and detections of objects in boxes.", no_args_is_help=True)

Source = Annotated[
    Path,
    typer.Argument(
        metavar="TRUTH", help="COCO JSON, CSV, a folder of Pascal VOC or YOLO, a list of VOC's images."
    ),
]
Answers = Annotated[
    Path, typer.Argument(metavar="DETECTIONS", help="JSON: a list of image_id, category_id, bbox and score.")
]
Images = Annotated[
    Path | None, typer.Option(help="Folder of the images, to check TRUTH against; YOLO needs it.")
]
Faults = Annotated[
    Literal["refuse", "drop", "clip"],
    typer.Option(help="What becomes of faults in TRUTH: refuse, drop, or clip boxes and drop."),
]
Classes = Annotated[
    str | None,
    typer.Option(
        help="Names that are known, with commas between them: any other one in VOC or CSV is a fault."
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


@boxes.command("check")
def check(
    source: Source,
    images: Images = None,
    faults: Faults = "refuse",
    classes: Classes = None,
    as_json: AsJson = False,
) -> None:
    """Read labels of boxes; list every fault, or say what there is."""
    from resnet_ops.tasks.detection.labels.reading import read_labels

    known = None if classes is None else [name.strip() for name in classes.split(",")]
    labels = read_labels(source, faults, known, images)
    counts = dict.fromkeys(labels.classes, 0)
    for image in labels.images:
        for kind in image.classes:
            counts[labels.classes[kind]] += 1
    if as_json:
        typer.echo(json.dumps({"images": len(labels.images), "objects": counts, "notes": labels.notes}))
        return
    console.print(f"{len(labels.images):,} images, {sum(counts.values()):,} objects")
    for name, count in counts.items():
        console.print(f"  {name}: {count:,}")
    for note in labels.notes:
        console.print(note)


@boxes.command("measure")
def measure(
    answers: Answers,
    source: Source,
    images: Images = None,
    faults: Faults = "refuse",
    threshold: Annotated[
        float, typer.Option(help="Score from which a box counts in production.", min=0, max=1)
    ] = 0.5,
    as_json: AsJson = False,
) -> None:
    """Measure detections beside the truth, and sign nothing."""
    from resnet_ops.measurement import measurements_to_json
    from resnet_ops.tasks.beside_truth import Truth, measure_beside_truth

    found = measure_beside_truth(answers, Truth(source, images, faults, threshold), "test", 0.95, 0)
    if as_json:
        typer.echo(json.dumps(measurements_to_json(found.measurements)))
        return
    for name, measurement in found.measurements.items():
        console.print(f"{name} {measurement.shown}")
    for note in found.notes:
        console.print(note)


@boxes.command("threshold")
def threshold(
    answers: Answers,
    source: Source,
    aim: Annotated[
        Literal["f1", "recall", "precision"], typer.Option(help="What the score is chosen for.")
    ] = "f1",
    at_least: Annotated[
        float | None, typer.Option(help="How much recall or precision must be reached.", min=0, max=1)
    ] = None,
    images: Images = None,
    faults: Faults = "refuse",
    as_json: AsJson = False,
) -> None:
    """Choose the score from which boxes count, on images that are not those of the test."""
    from resnet_ops.tasks.detection.detections import read_detections
    from resnet_ops.tasks.detection.labels.reading import read_labels
    from resnet_ops.tasks.detection.matching import match
    from resnet_ops.tasks.detection.score_threshold import choose_threshold

    labels = read_labels(source, faults, images=images)
    chosen = choose_threshold(match(labels, read_detections(answers, labels))["all"], aim, at_least)
    typer.echo(json.dumps({"threshold": chosen}) if as_json else f"--threshold {chosen:.15g}")
