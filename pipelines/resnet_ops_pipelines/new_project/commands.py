"""Commands of `resnet-ops` that make a project and bring it up to a new release."""

import re
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from resnet_ops.console import console, progress_bar
from resnet_ops.errors import ConfigError, DataError
from resnet_ops.extras import require

__all__ = ["add_commands"]

PAD_FROM = 0.1
"""Share of the typical image that the square crop would lose, from which on all of it is kept."""


class Similar(StrEnum):
    """What class names are that differ only in case or blanks."""

    ask = "ask"
    merge = "merge"
    keep = "keep"


def add_commands(app: typer.Typer) -> None:
    """Add this package's commands to the application."""
    app.command("init")(init)
    app.command("upgrade")(upgrade)


def init(
    images: Annotated[
        Path,
        typer.Argument(
            help="A folder of class folders, or of images with masks, boxes or a CSV file of their classes; or that "
            "CSV file, or boxes in a COCO or CSV file."
        ),
    ],
    into: Annotated[Path, typer.Option(help="The project's folder; made where it is missing.")] = Path(),
    name: Annotated[str, typer.Option(help="Of the registered model; else from the project's folder.")] = "",
    group: Annotated[
        str, typer.Option(help="Column of the CSV file that groups images; auto: by its name; none.")
    ] = "auto",
    positive: Annotated[
        str, typer.Option(help="Of two classes the one that is looked for, such as defect.")
    ] = "",
    minutes: Annotated[
        float, typer.Option(help="That the training of all members may take here.", min=0.1)
    ] = 60,
    similar_classes: Annotated[
        Similar, typer.Option(help="Class names that differ only in case or blanks.")
    ] = Similar.ask,
    seed: Annotated[int, typer.Option(help="Decides splits and training.", min=0)] = 0,
) -> None:
    """Look at images, propose settings and a policy for them, and write a project that `dvc repro` runs."""
    require("init", "torch", "torchvision", "PIL", "sklearn", "evidently", "great_expectations", "dvc")
    from dataclasses import replace
    from tempfile import TemporaryDirectory

    from resnet_ops.data.params import LISTED, DataParams
    from resnet_ops.data.raw import RawData
    from resnet_ops.tasks.detection.labels.yolo import NAMES
    from resnet_ops_pipelines.new_project.found_boxes import find_boxes
    from resnet_ops_pipelines.new_project.found_list import find_list
    from resnet_ops_pipelines.new_project.found_masks import find_masks
    from resnet_ops_pipelines.new_project.members import LEAST_SIZE, fit_machine
    from resnet_ops_pipelines.new_project.proposal import Proposal, first_supported, propose
    from resnet_ops_pipelines.new_project.sample import TESTED, check_watched, sample, source_of, split_for
    from resnet_ops_pipelines.new_project.survey import Survey, read_all, survey
    from resnet_ops_pipelines.new_project.telling import is_parted, tell, tell_faults, tell_joined
    from resnet_ops_pipelines.new_project.writing import refuse_existing, refuse_overlap, write_project

    if images.name in NAMES and images.is_file():  # by which YOLO's own tools know a data set
        images = images.parent
    name = _given(name) if name else _name(into.resolve().name)
    refuse_existing(into, name)
    refuse_overlap(images, into)
    data = DataParams(
        source=source_of(images),
        root=str(images),
        image_size=8,
        channels=3,
        fit="crop",
        background=255,
        grey_bits="auto",
        window=None,
        similar_classes=similar_classes.value,
        conflicts="stop",
        group=None,
        split=split_for(0),
    )
    boxes = find_boxes(images) if data.source in LISTED else None
    beside = boxes or (find_masks(images) if data.source in ("imagefolder", "split_folders") else None)
    if beside is not None:
        data = beside.of(data)
        refuse_overlap(Path(data.root or ""), into)
        tell_faults(beside.faults, data.root or "")
        if not beside.given and is_parted(beside.images, Path(data.root or "")):
            tell_joined("There is no train, or nothing held out beside it.")
    elif data.source == "imagefolder" and (listed := find_list(images)):
        data = replace(data, source="csv", root=str(listed))
    typical = sample(data, beside.images if beside else (), beside.classes if beside else 0)
    console.print(
        f"{images}: {typical.images:,} images of {typical.classes} classes. Measuring this machine ..."
    )
    data = replace(data, split=split_for(typical.images))
    learned = max(1, int(data.split.train * typical.images))
    least = max(LEAST_SIZE, beside.least_size if beside else 0)
    fit = fit_machine(typical.side, learned, typical.classes, minutes, seed, data.chosen_task, least)
    data = replace(data, image_size=fit.image_size)
    if typical.lost >= PAD_FROM or data.fit == "pad":
        data = replace(data, fit="pad", background=typical.background)
    root = _root(Path(data.root or ""), into)
    with TemporaryDirectory() as scratch:

        def read() -> RawData:
            with progress_bar("Reading images") as progress:
                return read_all(data, progress, Path(scratch))

        def proposed(test: float) -> tuple[Survey, Proposal]:
            split = split_for(typical.images, test)
            found = survey(raw, replace(data, split=split), seed, group)
            return found, propose(found, fit, name, root, seed, positive or None)

        raw = read()
        try:
            found, proposal = first_supported(TESTED, proposed)
            if beside is not None and beside.given:
                check_watched(found.images("production"), typical.images)
        except DataError as error:
            if beside is None or not beside.given:
                raise
            tell_joined(str(error))
            data = replace(data, source="imagefolder")
            raw = read()
            found, proposal = first_supported(TESTED, proposed)
    write_project(into, proposal.files)
    tell(found, fit, proposal)
    where = "" if into.resolve() == Path.cwd() else f"cd {into} && "
    console.print(f"Look at the first settings of {into / 'params.yaml'}. Next: {where}dvc repro")


def upgrade(
    project: Annotated[Path, typer.Argument(help="The project's folder.")] = Path(),
) -> None:
    """Write this release's stages into a project that `init` wrote. Its settings and its policy stay as they are."""
    require("upgrade", "torch", "dvc", "evidently")
    from resnet_ops.params import parse_params
    from resnet_ops_pipelines.new_project.writing import upgrade_project
    from resnet_ops_pipelines.project_params import Params

    changed = upgrade_project(project)
    console.print(
        f"Stages that are others now: {', '.join(changed)}" if changed else "The stages are this release's."
    )
    parse_params(project / "params.yaml", Params)
    console.print("Next: dvc repro. Stages run again whose installed code changed.")


def _name(folder: str) -> str:
    name = _plain(folder)
    if not name:
        raise ConfigError("The project's folder has no name to call the model by. Name it: --name parts")
    return name


def _given(name: str) -> str:
    if (plain := _plain(name)) != name:
        raise ConfigError(
            f"--name {name}: the model, its policy's file and addresses take the name, which may hold letters and "
            f"digits of ASCII, and within - and _. Write: --name {plain or 'parts'}"
        )
    return name


def _plain(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]+", "-", name).strip("-_")


def _root(images: Path, into: Path) -> str:
    """Relative to the project where it is inside of it, so that a clone finds it."""
    place, project = images.resolve(), into.resolve()
    return str(place.relative_to(project)) if place.is_relative_to(project) else str(place)
