"""Room `client`: what pipelines and people ask of the registry, over plain MLflow."""
