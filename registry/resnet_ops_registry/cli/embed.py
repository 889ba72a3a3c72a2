"""Command of `resnet-ops` that writes the embeddings of images: embed."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from resnet_ops.console import console
from resnet_ops.data.params import DataParams
from resnet_ops.preprocessing import Preprocessing, read_preprocessing

if TYPE_CHECKING:
    from resnet_ops.predictions import DeployedModel

__all__ = ["embed"]


@dataclass(frozen=True)
class _Project:
    data: DataParams


def embed(
    model: Annotated[
        str, typer.Argument(help="models:/NAME@ALIAS or models:/NAME/3, verified; or the folder of a model.")
    ],
    images: Annotated[Path, typer.Argument(help="Folder of the images, at any depth.")],
    output: Annotated[Path, typer.Argument(help="Parquet file that is written, a row an image.")],
    params: Annotated[
        Path,
        typer.Option(
            help="The params.yaml of the training, for a model that does not say how images are read."
        ),
    ] = Path("params.yaml"),
    half: Annotated[bool, typer.Option("--half", help="Numbers of 16 bits instead of 32.")] = False,
    skip_broken: Annotated[
        bool, typer.Option("--skip-broken", help="Leave out images that cannot be read, instead of stopping.")
    ] = False,
    device: Annotated[
        Literal["cpu", "cuda"], typer.Option(help="Where a trained model computes; exports do on the CPU.")
    ] = "cpu",
) -> None:
    """Write what a model's last layer but one says of each image: features for search, clustering, other models."""
    from resnet_ops.console import progress_bar
    from resnet_ops.embedding import embed_folder
    from resnet_ops.params import parse_params

    deployed, about, settings = _opened(model, device)
    if settings is None:
        console.print(f"{about['model']} does not say how images are read for it: as data in {params} says.")
        settings = Preprocessing.of(parse_params(params, _Project).data)
    with progress_bar("Images") as progress:
        found = embed_folder(
            deployed,
            images,
            settings,
            output,
            half=half,
            skip_broken=skip_broken,
            about=about,
            progress=progress,
        )
    for line in (*found.notes, *found.broken):
        console.print(line, style="yellow")
    console.print(f"{output}: {found.rows} images, {found.width} numbers each, by {about['model']}")


def _opened(model: str, device: str) -> "tuple[DeployedModel, dict[str, str], Preprocessing | None]":
    """The model, what a file should say of it, and how images are read for it, where its files say so."""
    from resnet_ops.export.exported import load_deployed
    from resnet_ops.model_files import model_digest
    from resnet_ops_registry.client.loading import load

    if not model.startswith("models:/"):
        deployed = load_deployed(Path(model), device=device)
        about = {"model": deployed.name, "digest": model_digest(Path(model))}
        return deployed, about, read_preprocessing(Path(model))
    found = load(model, device=device)
    about = {"model": f"{found.name} v{found.version}", "digest": found.weights_digest}
    return found.model, about, found.preprocessing
