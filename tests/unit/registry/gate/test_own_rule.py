"""The rule in docs/policies.md, installed as a reader would install it."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from resnet_ops.errors import ConfigError
from resnet_ops_registry.gate.policies import _parse
from resnet_ops_registry.gate.policy_file import read_policy

DOCUMENT = Path(__file__).parents[4] / "docs" / "policies.md"
POLICY = """\
model: m
evidence_roles: [pipeline]
guards:
  - aliases: [champion]
    rules:
      - {rule: weekday, not_on: [4], why: nobody is here at the weekend}
"""


def block(name: str, language: str) -> str:
    found = re.search(rf"`{re.escape(name)}`:\n\n```{language}\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    assert found, name
    return found[1]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the package from the document, installed by pip without a network."""
    source, site = tmp_path_factory.mktemp("team"), tmp_path_factory.mktemp("site")
    (source / "team_rules.py").write_text(block("team_rules.py", "python"))
    (source / "pyproject.toml").write_text(block("pyproject.toml", "toml"))
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-index",
        "--no-deps",
        "--no-build-isolation",
    ]
    done = subprocess.run(
        [*command, "--disable-pip-version-check", "--target", str(site), str(source)],
        capture_output=True,
        text=True,
        env={**os.environ, "PIP_ROOT_USER_ACTION": "ignore"},
    )
    assert done.returncode == 0, done.stderr
    return site


@pytest.mark.slow
def test_a_teams_rule_judges_and_its_fields_are_checked(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.unit.registry.judging import NOW, case

    monkeypatch.syspath_prepend(str(site))
    rule = read_policy(POLICY, "p.yaml").guards[0].rules[0]
    result = rule.judge(case())
    assert NOW.weekday() == 0
    assert (result.passed, result.reason) == (True, "it is weekday 0")
    assert not read_policy(POLICY.replace("[4]", "[0]"), "p.yaml").guards[0].rules[0].judge(case()).passed
    with pytest.raises(ConfigError, match=r"p\.yaml:6: guards\.0\.rules\.0\.not_on\.0"):
        read_policy(POLICY.replace("[4]", "[friday]"), "p.yaml")


def test_a_teams_rule_whose_package_is_gone_is_no_pass() -> None:
    _parse.cache_clear()
    with pytest.raises(ConfigError, match="'weekday' is not a rule; known here"):
        read_policy(POLICY, "p.yaml")


def test_the_documents_policy_is_one() -> None:
    text = DOCUMENT.read_text().split("```yaml\n")[1].split("```")[0]
    policy = read_policy(text, "docs")
    assert (policy.model, len(policy.guards[0].rules)) == ("digits-classifier", 1)


def test_a_rule_of_ones_own_may_ask_for_what_was_called_believed_and_said() -> None:
    from tests.unit.registry.judging import case

    asked = case()
    with pytest.warns(DeprecationWarning, match=r"Case\.believed is Case\.verified now"):
        assert asked.believed is asked.verified
    with pytest.warns(DeprecationWarning, match=r"Accepted\.said is Accepted\.predicate now"):
        assert asked.accepted.said is asked.accepted.predicate
