"""DVC stage `export_model`: one member in deployable formats, each checked on the whole test split."""

import argparse
from pathlib import Path

from project_params import read_params

from resnet_ops.console import console, report_errors
from resnet_ops.data import load_prepared
from resnet_ops.export import export_model
from resnet_ops.files import write_json
from resnet_ops.measurement import measurement_values
from resnet_ops.model import load_model


def main(name: str) -> None:
    params = read_params()
    test = load_prepared(Path("data/prepared")).split("test")
    folder = Path("exports") / name
    measured = export_model(load_model(Path("models") / name), test.images, params.export, folder)
    write_json(Path("reports/export") / f"{name}.json", measurement_values(measured))
    for file in sorted(folder.iterdir()):
        console.print(
            f"{file}: {file.stat().st_size:,} bytes, predicts as the original on {len(test)} test images"
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--member", required=True, help="a name under `members` in params.yaml")
    member = parser.parse_args().member
    with report_errors(f"export_model {member}"):
        main(member)
