"""DVC stage `lock_code` of a project: digests of the installed code of each stage, so that DVC sees an upgrade."""

from resnet_ops.console import report_errors
from resnet_ops.files import write_text
from resnet_ops_pipelines.new_project.code_locks import FOLDER, code_digest, stages


def main() -> None:
    for name, stage in stages().items():
        write_text(FOLDER / f"{name}.txt", code_digest(stage) + "\n")


if __name__ == "__main__":
    with report_errors("lock_code"):
        main()
