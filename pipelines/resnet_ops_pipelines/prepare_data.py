"""DVC stage `prepare_data`: data set -> images of one size with a manifest, production kept apart."""

from pathlib import Path

from resnet_ops.console import console, progress_bar, report_errors
from resnet_ops.data import save_prepared
from resnet_ops.data.conflicts import settle_conflicts
from resnet_ops.data.splits import split_images
from resnet_ops.tasks.reading.reading import reading_of
from resnet_ops_pipelines.project_params import read_params

FOLDERS = {Path("data/prepared"): ("train", "validation", "test"), Path("data/production"): ("production",)}


def main() -> None:
    params = read_params()
    scratch = Path("data")
    scratch.mkdir(exist_ok=True)
    with progress_bar("Reading images") as progress:
        read = reading_of(params.data.chosen_task).read(params.data, progress, scratch)
    raw = settle_conflicts(read, params.data.conflicts)
    for note in raw.notes:
        console.print(f"{params.data.root}: {note}", style="yellow")
    data = split_images(raw, params.data.split, params.seed, params.data.group)
    params.check_classes(data.classes)
    for folder, splits in FOLDERS.items():
        save_prepared(data, folder, splits)
        count = len(data.places(*splits))
        console.print(f"{folder}: {count} images of {len(data.classes)} classes")


if __name__ == "__main__":
    with report_errors("prepare_data"):
        main()
