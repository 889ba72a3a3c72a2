"""Room `new_project`: what `resnet-ops init` and `upgrade` do. It touches the project's folder, never the images."""
