"""The stages of a project, each run by `python -m resnet_ops_pipelines.STAGE` in the folder of its `dvc.yaml`."""

from resnet_ops.console import explain_imports

explain_imports()  # here, before a stage imports what its extra brings
