"""What would stop DVC without a word is said before it starts, and cleaning up takes nothing of a person's."""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from resnet_ops.errors import ConfigError
from resnet_ops_pipelines.project_checks.policies import check_policies
from resnet_ops_pipelines.project_checks.repository import check_remotes, check_repository

ROOT = Path(__file__).parents[4]
FINDER = "resnet_ops_pipelines.project_checks.repository.find_spec"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / ".git").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_project_without_git_is_told_what_to_do(project: Path) -> None:
    check_repository()
    (project / ".git").rmdir()
    with pytest.raises(ConfigError, match=r"git init.*dvc config core\.no_scm true"):
        check_repository()
    (project / ".dvc").mkdir()
    (project / ".dvc/config").write_text("[core]\n    no_scm = true\n")
    check_repository()


@pytest.mark.parametrize("name", ["dvc.lock", "dvc.yaml", "params.yaml"])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a: 1\n<<<<<<< HEAD\nb: 1\n=======\nb: 2\n>>>>>>> other\n", "holds both sides of a merge"),
        ("a: [1\n", "is not valid YAML"),
        (b"a: \xff\n", "is not valid YAML"),
    ],
)
def test_a_file_that_dvc_cannot_read_is_named(
    project: Path, name: str, content: str | bytes, message: str
) -> None:
    (project / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ConfigError, match=rf"^{name} {message}.*git checkout"):
        check_repository()


def test_a_stage_that_the_installed_release_does_not_have_is_named(project: Path) -> None:
    (project / "dvc.yaml").write_text(
        "stages:\n  a: {cmd: python -m resnet_ops_pipelines.train_model --member a}\n"
        "  b: {cmd: python -m resnet_ops_pipelines.fit_model}\n  c: {cmd: python -m ours.fit}\n"
    )
    with pytest.raises(
        ConfigError, match=r"^dvc\.yaml runs resnet_ops_pipelines\.fit_model, .*resnet-ops upgrade"
    ):
        check_repository()


def test_dvcs_settings_are_read_before_hours_of_training(project: Path) -> None:
    assert check_remotes() == []
    config = project / ".dvc" / "config"
    config.parent.mkdir()
    config.write_text("[core]\n    remote = store\n['remote \"other\"']\n    url = /other\n")
    assert "dvc remote add store" in check_remotes()[0]
    config.write_text("[core]\n    remote = store\n['remote \"store\"']\n    url = /store\n")
    assert check_remotes() == []
    config.write_text("[core\n")
    with pytest.raises(ConfigError, match=r"git checkout -- \.dvc/config"):
        check_remotes()
    config.unlink()
    config.mkdir()
    with pytest.raises(ConfigError, match="Is a directory"):
        check_remotes()


@pytest.mark.parametrize(
    ("address", "package"),
    [
        ("s3://bucket/parts", "dvc-s3"),
        ("gs://bucket/parts", "dvc-gs"),
        ("azure://container/parts", "dvc-azure"),
        ("ssh://ada:hunter2@host/parts", "dvc-ssh"),
        ("https://host/parts", None),
        ("/parts", None),
        ("remote://other/parts", None),
    ],
)
def test_a_remote_whose_plugin_is_missing_is_named_with_what_to_install(
    project: Path, monkeypatch: pytest.MonkeyPatch, address: str, package: str | None
) -> None:
    (project / ".dvc").mkdir()
    (project / ".dvc/config").write_text(
        f"['remote \"store\"']\n    url = {address}\n['remote \"other\"']\n    url = /other\n"
    )
    optional = ("dvc_s3", "dvc_gs", "dvc_azure", "dvc_ssh")
    monkeypatch.setattr(FINDER, lambda name: None if name in optional else find_spec(name))
    found = check_remotes()
    assert [f"remote store is at {address.partition('://')[0]}" in each for each in found] == [True] * bool(
        package
    )
    assert all(each.endswith(f"pip install {package}") and "hunter2" not in each for each in found)
    monkeypatch.setattr(FINDER, lambda name: object())
    assert check_remotes() == []


def test_a_password_in_dvcs_settings_is_not_told(project: Path) -> None:
    local = project / ".dvc" / "config.local"
    local.parent.mkdir()
    local.write_text("['remote \"store\"']\n    secret_access_key (hunter2)\n")
    with pytest.raises(ConfigError, match=r"Invalid line at line 2.* \.dvc/config\.local") as caught:
        check_remotes()
    assert "hunter2" not in str(caught.value)
    local.write_text("[core]\n    remote = ssh://ada:hunter2@host/parts\n")
    (found,) = check_remotes()
    assert found.endswith("dvc remote add --default NAME ADDRESS")
    assert "hunter2" not in found
    local.write_text("['remote \"store\"']\n    url = ssh://ada:hunter2@host/a,b\n")
    with pytest.raises(ConfigError, match=r"comma .* quotes") as caught:
        check_remotes()
    assert "hunter2" not in str(caught.value)
    local.write_text('[\'remote "store"\']\n    url = "/a,b"\n')
    assert check_remotes() == []


def test_policies_are_read_before_hours_of_training(project: Path) -> None:
    with pytest.raises(ConfigError, match="mkdir policies"):
        check_policies("parts")
    (project / "policies").mkdir()
    assert "model: parts" in str(check_policies("parts"))
    rule = "{rule: threshold, metric: test.top1, bound: low, min: 0.5, why: enough}"
    text = "model: {}\nevidence_roles: [pipeline]\nguards:\n  - {{aliases: [champion], rules: [{}]}}\n"
    (project / "policies" / "parts.yml").write_text(text.format("par*", rule))
    assert check_policies("parts") is None
    assert "model: others" in str(check_policies("others"))
    for name in ("a.yaml", "b.yaml"):
        (project / "policies" / name).write_text(text.format("a", rule.replace("min:", "mn:")))
    with pytest.raises(ConfigError, match=r"(?s)policies/a\.yaml:4: .*policies/b\.yaml:4: "):
        check_policies("parts")


def test_a_file_that_may_not_be_read_is_named(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / "dvc.lock").mkdir()  # the superuser may read any file
    with pytest.raises(ConfigError, match=r"dvc\.lock .*: Is a directory"):
        check_repository()


@pytest.mark.slow
def test_cleaning_up_takes_outputs_and_leaves_what_a_person_put_beside_them(tmp_path: Path) -> None:
    for command in (["git", "init", "-q"], [sys.executable, "-m", "dvc", "init", "-q"]):
        subprocess.run(command, cwd=tmp_path, check=True)
    made_by = "foreach: {a: 1}\n    do:\n      cmd: touch x\n      outs: ['data/made/${key}', reports/x.csv]"
    stage = f"stages:\n  make:\n    {made_by}\n"
    (tmp_path / "dvc.yaml").write_text(stage)
    mine = [
        tmp_path / name for name in ("data/raw/cat/1.png", "models/pretrained.safetensors", "reports/mine.md")
    ]
    made = [tmp_path / name for name in ("data/made/a", "reports/x.csv", "var/mlflow.db")]
    for path in (*mine, *made):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    done = subprocess.run(
        [sys.executable, "-m", "resnet_ops_pipelines.clean_outputs"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "Removed 2 outputs" in done.stdout
    assert all(path.exists() for path in mine)
    assert not any(path.exists() for path in made)
    assert not (tmp_path / "data/made").exists()


@pytest.mark.slow
@pytest.mark.parametrize("linked", [False, True])
def test_images_below_data_can_be_given_to_dvc(tmp_path: Path, linked: bool) -> None:
    """Beside what stages write there, which git ignores."""
    for command in (["git", "init", "-q"], [sys.executable, "-m", "dvc", "init", "-q"]):
        subprocess.run(command, cwd=tmp_path, check=True)
    (tmp_path / ".gitignore").write_text((ROOT / ".gitignore").read_text())
    images = tmp_path / "store" if linked else tmp_path / "data/raw"
    (images / "cat").mkdir(parents=True)
    (images / "cat/1.png").write_bytes(b"x")
    (tmp_path / "data/prepared").mkdir(parents=True)
    (tmp_path / "data/prepared/images.npy").write_bytes(b"x")
    tracked = "data/raw"
    if linked:
        (tmp_path / "data/raw").symlink_to(images)
        tracked = "store"
    done = subprocess.run(
        [sys.executable, "-m", "dvc", "add", tracked], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    listed = subprocess.run(
        ["git", "status", "--porcelain", "-uall"], cwd=tmp_path, capture_output=True, text=True, check=True
    ).stdout
    assert f"{tracked}.dvc" in listed
    assert "images.npy" not in listed
