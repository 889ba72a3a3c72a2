"""`make clean`: remove what DVC's stages wrote, and var/; nothing else, so that a person's own files stay."""

import shutil
from pathlib import Path

from dvc.repo import Repo  # type: ignore[import-untyped]

from resnet_ops.console import console, report_errors


def main() -> None:
    with Repo() as repo:
        outputs = {Path(out.fs_path) for out in repo.index.outs if out.stage.is_data_source is False}
    removed = [path for path in sorted(outputs) if remove(path)]
    remove(Path("var"))
    for folder in sorted({parent for path in outputs for parent in path.parents}, reverse=True):
        if folder.is_relative_to(Path.cwd()) and folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
    console.print(
        f"Removed {len(removed)} outputs of the pipeline, and var/. DVC's cache stays: the only copy of a file may be "
        "there. To free it: dvc gc --workspace"
    )


def remove(path: Path) -> bool:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
        return True
    there = path.exists() or path.is_symlink()
    path.unlink(missing_ok=True)
    return there


if __name__ == "__main__":
    with report_errors("clean_outputs"):
        main()
