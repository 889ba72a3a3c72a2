"""The rule about nearly equal images names pairs, shows them, and stops nothing."""

from dataclasses import replace

from resnet_ops_monitoring.validation.manifest_checks import ManifestReport
from resnet_ops_monitoring.validation.near_duplicates import check_near_duplicates
from tests.unit.core.makers import digits


def test_data_without_pairs_pass_and_show_nothing() -> None:
    check, section = check_near_duplicates(digits())
    assert (check.held, check.found, section) == (True, "", "")


def test_pairs_are_named_and_shown_as_text_and_are_a_warning() -> None:
    data = digits()
    trained, tested = int(data.places("train")[0]), int(data.places("test")[4])
    images, rows = data.images.copy(), list(data.rows)
    images[tested] = images[trained]
    rows[trained] = replace(rows[trained], path="<b>x</b>.png")
    check, section = check_near_duplicates(replace(data, images=images, rows=rows))
    assert (check.held, check.level) == (False, "warning")
    assert f"1, such as {rows[tested].path} like <b>x</b>.png" in check.found
    assert section.count("<figure>") == 2
    assert "likeness 1.0000" in section
    assert "<b>" not in section
    ManifestReport(len(data), (check,)).require()
