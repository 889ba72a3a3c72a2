"""A model card from hand-made evidence: what it says, what it says is missing, and what hostile names come to."""

from dataclasses import asdict
from datetime import UTC, datetime
from html.parser import HTMLParser

import pytest

from resnet_ops_registry.attestations.evidence import (
    Evidence,
    Headline,
    Metric,
    Source,
    show_metric,
    show_number,
)
from resnet_ops_registry.cards.model_card import CardTexts, ModelCard, build_card
from resnet_ops_registry.cards.page import as_page
from resnet_ops_registry.cards.parts import Section
from resnet_ops_registry.cards.text import LONGEST_DESCRIPTION, as_markdown, description

DAY = datetime(2026, 11, 1, 12, 0, tzinfo=UTC)
TEXTS = CardTexts(intended_use="Reads digits.", limits="Only 13 hands.")
VERDICTS = {"@champion": "refused: test.top1 0.940 is below 0.950", "@champion-edge": "passes"}


def share(value: float, n: int = 360, spread: float = 0.02) -> Metric:
    bounds = max(0.0, value - spread), min(1.0, value + spread)
    return Metric(value=value, n=n, low=bounds[0], high=bounds[1], method="wilson 0.95", unit="fraction")


def one(value: float, unit: str | None = None) -> Metric:
    return Metric(value=value, n=1, unit=unit)


FULL = {
    "test.top1": share(0.94),
    "test.top5": share(0.99),
    "test.macro_f1": share(0.93),
    "test.worst_class_recall": share(0.8, 35, 0.2),
    "test.recall.seven": share(0.8, 35),
    "test.precision.seven": share(0.7, 40),
    "test.recall.one": share(0.95, 36),
    "test.precision.one": share(0.9, 36),
    "test.slice.site.north": share(0.71, 31),
    "test.slice.site.south": share(0.97, 200),
    "test.worst_slice": share(0.71, 31, 0.2),
    "test.unmeasured.site": one(0.125, "fraction"),
    "test.ece": share(0.05),
    "test.brier": share(0.1),
    "test.nll": one(0.2, "nat"),
    "calibrated.temperature": one(1.3),
    "calibrated.ece": share(0.02),
    "robustness.clean_accuracy": share(0.95, 250),
    "robustness.mean_accuracy": share(0.75, 250),
    "robustness.drop": share(0.2, 250),
    "robustness.severity.1": share(0.9, 250),
    "robustness.accuracy.fog": share(0.41, 250),
    "robustness.accuracy.snow": share(0.8, 250),
    "edge-cpu.latency_p50_ms": one(1.5, "ms"),
    "edge-cpu.latency_p99_ms": Metric(value=3.25, n=400, low=3.0, high=4.0, unit="ms"),
    "edge-cpu.batch8.latency_p99_ms": one(9.75, "ms"),
    "edge-cpu.throughput_ips": one(17439.68, "images/s"),
    "edge-cpu.load_ms": one(37.5, "ms"),
    "edge-cpu.first_request_ms": one(0.46, "ms"),
    "edge-cpu.peak_memory_mb": one(68, "MiB"),
    "edge-cpu.memory_share": one(0.066, "of the profile's memory"),
    "edge-cpu.energy_mj": one(2.125, "mJ"),
    "size.bytes": one(324680, "bytes"),
    "size.parameters": one(77_000, "parameters"),
    "data.train.images": Metric(value=898, n=898, unit="images"),
}
HARDWARE: dict[str, dict[str, str | int | float | bool | None]] = {
    "edge-cpu": {"cpu": "Any 9", "threads": 1, "interference": True, "gpu": None}
}


def evidence(metrics: dict[str, Metric] | None = None, **changes: object) -> Evidence:
    said = Evidence(
        member="resnet8",
        weights_digest="1" * 64,
        metrics=metrics or FULL,
        data={"data/prepared": "md5:abc.dir"},
        source=Source(commit="c" * 40, dirty=False, dvc_lock="d" * 64),
        environment={"torch": "2.14.1"},
        hardware=HARDWARE,
        seeds={"training": 7},
        checks={"data_validation": True},
        created=DAY,
    )
    return said.model_copy(update=changes)


def card(said: Evidence | None = None, texts: CardTexts = TEXTS, model: str = "digits") -> ModelCard:
    return build_card(model, 3, said or evidence(), "9" * 64, texts, VERDICTS, DAY)


def section(of: ModelCard, title: str) -> Section:
    return next(each for each in of.sections if each.title == title)


def cells(of: ModelCard, title: str) -> list[tuple[str, ...]]:
    table = section(of, title).table
    assert table is not None
    return [row.cells for row in table.rows]


def words(page: str) -> str:
    """The text of a page, as a browser shows it."""
    parser = _Words()
    parser.feed(page)
    return "\n".join(parser.found)


class _Words(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_data(self, data: str) -> None:
        self.found.append(data)


def test_the_sections_are_those_of_a_model_card_in_the_order_in_which_they_are_read() -> None:
    assert [each.title for each in card().sections] == [
        "Intended use",
        "Limits",
        "What the gate said",
        "Results on the test split",
        "Slices",
        "Robustness",
        "Calibration",
        "Speed, memory, energy",
        "Size",
        "By class",
        "Hardware",
        "Data",
        "How to reproduce",
        "Where this comes from",
    ]


def test_every_measured_number_is_on_the_card_as_markdown_and_as_a_page() -> None:
    texts = as_markdown(card()), words(as_page(card()))
    for name, metric in FULL.items():
        shown = "12.5 %" if name == "test.unmeasured.site" else show_number(metric.value)
        assert all(shown in text for text in texts), name
    assert ("right answer (top-1)", "0.940", "0.920 to 0.960", "360", "test.top1") in cells(
        card(), "Results on the test split"
    )


def test_the_card_of_another_task_shows_what_its_models_are_compared_by() -> None:
    measured = {
        "test.miou": share(0.412),
        "test.dice": share(0.533),
        "test.iou.defect": share(0.106),
        "test.iou.ground": share(0.717),
        "test.dice.defect": share(0.193),
        "test.boundary_f1.defect": share(0.301),
    }
    by = Headline(metric="test.miou", chosen_by="validation.miou", label="mIoU")
    found = card(evidence(measured, task="segmentation", headline=by))
    first = found.headline[0]
    assert (first.name, first.value) == ("mIoU on the test images", "0.412")
    assert [row[4] for row in cells(found, "Results on the test split")] == ["test.miou", "test.dice"]
    assert section(found, "Results on the test split").notes == ("The interval of mIoU: wilson 0.95.",)
    assert [row[0] for row in cells(found, "By class")] == ["defect", "ground"]
    assert cells(found, "By class")[0][4] == "0.193"
    assert cells(found, "By class")[0][7] == "0.301"
    assert not any("accuracy" in limit for limit in found.limits)
    assert description(found, "#whole").index("| test.miou | 0.412") < description(found, "#whole").index(
        "| test.dice | 0.533"
    )


def test_it_says_by_which_method_and_at_which_level_the_main_interval_is() -> None:
    assert section(card(), "Results on the test split").notes == ("The interval of top-1: wilson 0.95.",)


def test_the_worst_slice_corruption_and_class_are_named_first() -> None:
    found = card()
    assert section(found, "Slices").notes[0] == "Worst of 2: site.north, 0.710 (0.690-0.730, n=31)."
    assert "its interval is 0.510 to 0.910" in section(found, "Slices").notes[1]
    assert section(found, "Robustness").notes[0].startswith("Worst of 2 corruptions: fog, 0.410")
    assert cells(found, "By class")[0] == (
        *("seven", "0.800", "0.780 to 0.820", "35", "0.700", "0.680 to 0.720", "40"),
    )
    facts = {fact.name: (fact.value, fact.more) for fact in found.headline}
    assert facts["worst slice"] == ("0.710", "site.north; 0.690 to 0.730, n=31")
    assert facts["right on corrupted images"] == ("0.750", "worst: fog, 0.410")
    assert facts["p99 of one image, edge-cpu"] == ("3.25 ms", "memory 68 MiB; measured on a busy machine")


def test_where_there_is_an_operating_point_both_sides_stand_first() -> None:
    sides = {"operating.sensitivity": share(0.71, 391), "operating.specificity": share(0.92, 1493)}
    found = card(evidence({**FULL, **sides}))
    assert [(fact.name, fact.value) for fact in found.headline[1:3]] == [
        ("sensitivity at the operating point", "0.710"),
        ("specificity at the operating point", "0.920"),
    ]
    assert "| operating.sensitivity | 0.710 (0.690-0.730, n=391) |" in description(found, "#whole")
    assert "operating" not in description(card(), "#whole")


def test_measures_at_stated_levels_of_the_curves_are_among_the_results() -> None:
    levels = {"test.partial_auc.0.1": share(0.71, 391), "test.precision_at_recall.0.95": share(0.6, 391)}
    rows = cells(card(evidence({**FULL, **levels})), "Results on the test split")
    assert ("area under the ROC curve up to a false alarm rate of 0.1", "0.710") in [row[:2] for row in rows]
    assert ("precision at a recall of 0.95", "0.600") in [row[:2] for row in rows]
    assert not any("a recall of" in row[0] for row in cells(card(), "Results on the test split"))


def test_how_far_raters_agree_is_among_the_results_where_several_labelled() -> None:
    rows = cells(card(evidence({**FULL, "test.rater_alpha": share(0.71, 391)})), "Results on the test split")
    assert [row[1] for row in rows if "Krippendorff" in row[0]] == ["0.710"]
    assert not any("labelled" in row[0] for row in cells(card(), "Results on the test split"))


def test_the_limits_are_worked_out_from_the_evidence_and_what_people_wrote_is_marked() -> None:
    said = evidence(checks={"data_validation": False}, source=Source(commit="", dirty=True, dvc_lock=None))
    limits = card(said).limits
    assert limits[:2] == (
        "The check data_validation failed.",
        "No git commit holds exactly the code that made it: files differed, or git was not there.",
    )
    for expected in (
        "12.5 % of the test images are in slices by site that were too small to be measured.",
        "1 of 2 slices rest on fewer than 100 images; the smallest is site.north: 0.710",
        "On corrupted images it is right less often by 0.200",
        "Speed on edge-cpu was measured on a busy machine.",
        "What it does on data unlike these is not known",
        "Written by people: Only 13 hands.",
    ):
        assert any(expected in limit for limit in limits), expected
    assert not any("Not measured" in limit for limit in limits)


def test_what_was_not_measured_is_said_so_in_its_section_and_among_the_limits() -> None:
    bare = card(evidence({"data.train.images": one(5)}, hardware={}, checks={}, data={}))
    for title in ("Slices", "Robustness", "Calibration", "Speed, memory, energy", "By class"):
        assert section(bare, title).notes == ("Not measured.",), title
    assert {row[1] for row in cells(bare, "Results on the test split")} == {"not measured"}
    assert section(bare, "Hardware").notes == ("Not known.",)
    expected = "Not measured: accuracy; slices; calibration; a temperature; robustness; speed and memory."
    assert expected in bare.limits
    assert as_markdown(bare).count("Not measured.") == 5


@pytest.mark.parametrize("gone", sorted(name for name in FULL if name.startswith("edge-cpu.")))
def test_a_part_of_the_benchmark_that_is_missing_is_said_in_its_row(gone: str) -> None:
    found = card(evidence({name: metric for name, metric in FULL.items() if name != gone}))
    shown = {row[1] for row in cells(found, "Speed, memory, energy")}
    if "batch8" in gone:
        assert not any("at once" in row[0] for row in cells(found, "Speed, memory, energy"))
    else:
        assert ("no limit" if gone.endswith("memory_share") else "not measured") in shown
    assert any("energy on edge-cpu" in limit for limit in found.limits) == gone.endswith("energy_mj")


@pytest.mark.parametrize(("told", "shown"), [(True, "yes"), (False, "no"), (None, "not known")])
def test_a_noisy_measurement_is_marked(told: bool | None, shown: str) -> None:
    found = card(evidence(hardware={"edge-cpu": {"interference": told}}))
    table = section(found, "Speed, memory, energy").table
    assert table is not None
    assert table.rows[-1].cells == ("noisy while measured", shown)
    assert (table.rows[-1].kind == "") == (told is False)
    assert any("Speed on edge-cpu" in limit for limit in found.limits) == (told is not False)


def test_how_to_reproduce_it_names_commit_lock_seeds_versions_and_commands() -> None:
    found = section(card(model="it's; rm"), "How to reproduce")
    assert found.table is not None
    told = {row.cells[0]: row.cells[1] for row in found.table.rows}
    assert told["git commit"] == "c" * 40
    assert told["dvc.lock, sha256 of the stages behind this version"] == "d" * 64
    assert (told["seed, training"], told["torch"]) == ("7", "2.14.1")
    assert found.commands[0] == f"git checkout {'c' * 40}"
    assert "reproduction 'it'\"'\"'s; rm' 3" in found.commands[-1]


def test_an_export_says_what_it_was_made_from_and_how_equal_it_is() -> None:
    equal = {**FULL, "export.equal_predictions": share(0.997), "export.accuracy_loss": one(0.003)}
    found = card(evidence(equal, format="int8", exported_from="2" * 64))
    told = section(found, "Compared with what it was made from")
    assert told.notes[0] == f"This is int8, made from the trained weights {'2' * 64}."
    assert {row[0]: row[1] for row in cells(found, told.title)}["equal predictions"] == "0.997"
    assert found.origin.startswith("resnet8, int8 of 222222222222, weights 111111111111")
    assert told.title not in [each.title for each in card().sections]


REFUSAL = "refused, loses 1.1 points (0.3-2.8), allowed 0.5 (360 images)"


def test_a_members_card_names_the_formats_that_were_refused_and_why() -> None:
    found = card(evidence(exports={"onnx": "written", "int8": REFUSAL}))
    assert cells(found, "Exports") == [("int8", REFUSAL), ("onnx", "written")]
    assert f"As int8: {REFUSAL}." in found.limits
    assert "As onnx: written." not in found.limits
    assert "refused, loses 1.1 points" in description(found, "#whole")
    assert "Exports" not in [each.title for each in card().sections]


def test_an_exports_card_says_what_was_not_shown_and_on_which_instructions_it_was_measured() -> None:
    doubt = (
        "written; loses 0.0 points (-1.1 to 1.1), allowed 0.5: not shown with 360 images, needs about 3,300"
    )
    measured = {
        "training": {"int8_instructions": "amx_int8"},
        "export": {"int8_instructions": "avx512_vnni"},
        "edge-cpu": {"int8_instructions": "avx2", "interference": False},
    }
    said = evidence(format="int8", exported_from="2" * 64, exports={"int8": doubt}, hardware=measured)
    limits = card(said).limits
    assert f"As int8: {doubt}." in limits
    assert any(limit.endswith("Measured with: edge-cpu on avx2, export on avx512_vnni.") for limit in limits)


def test_what_the_gate_said_is_told_with_its_day_and_a_refusal_stands_out() -> None:
    told = section(card(), "What the gate said")
    assert told.table is not None
    assert [(row.cells, row.kind) for row in told.table.rows] == [
        (("@champion", VERDICTS["@champion"]), "hit"),
        (("@champion-edge", "passes"), ""),
    ]
    assert "2026-11-01" in told.notes[0]
    ungoverned = build_card("digits", 3, evidence(), "9" * 64, TEXTS, {}, DAY)
    assert section(ungoverned, "What the gate said").notes[0].endswith("no policy governs this model.")


def test_the_short_form_fits_into_mlflows_description_however_much_there_is() -> None:
    short = description(card(), "#/whole/card.html")
    assert "| test.top1 | 0.940 (0.920-0.960, n=360) |" in short
    assert "| worst slice: site.north | 0.710 (0.690-0.730, n=31) |" in short
    assert "[the whole model card](#/whole/card.html)" in short
    assert "**Intended use** (written by people): Reads digits." in short
    checks = {f"check-{number}-{'x' * 200}": False for number in range(50)}
    many = {f"profile{number}.latency_p99_ms": one(number, "ms") for number in range(100)}
    long = card(
        evidence({**FULL, **many}, checks=checks), CardTexts(intended_use="u" * 2000, limits="l" * 2000)
    )
    assert 2_000 < len(description(long, "#/whole")) <= LONGEST_DESCRIPTION
    assert "the whole model card" in description(long, "#/whole")


def test_many_slices_and_classes_are_cut_to_the_worst_and_it_is_said() -> None:
    many = {f"test.slice.site.{n:03}": share(n / 1000) for n in range(1000)}
    many |= {f"test.recall.{n:03}": share(n / 1000) for n in range(1000)}
    found = card(evidence({**FULL, **many}))
    assert len(cells(found, "Slices")) == 10
    assert len(cells(found, "By class")) == 20
    assert "all 1002 slices" in section(found, "Slices").notes[-1]


def test_texts_that_are_too_long_are_refused_where_they_are_written() -> None:
    with pytest.raises(ValueError, match="longer than 2,000 characters"):
        CardTexts(intended_use="", limits="x" * 2001)
    assert asdict(TEXTS) == {"intended_use": "Reads digits.", "limits": "Only 13 hands."}


def test_large_numbers_are_shown_without_powers_of_ten() -> None:
    throughput = Metric(value=17439.68, n=400, low=17429.19, high=17453.5, unit="images/s")
    assert show_metric(throughput) == "17,440 images/s (17,429-17,454, n=400)"
    assert [show_number(value) for value in (9999.4, 0.5, 12, 3.0, 1e15)] == [
        "9999",
        "0.500",
        "12",
        "3",
        "1e+15",
    ]


def test_cross_validated_numbers_are_said_to_be_of_other_models() -> None:
    assert "Cross-validation" not in [each.title for each in card().sections]
    folds = {"cross_validated.top1": share(0.9, 1400), "cross_validated.models": Metric(value=5, n=1400)}
    made = card(evidence({**FULL, **folds}))
    (note,) = section(made, "Cross-validation").notes
    assert "5 models, none of them this version" in note
    assert [row[0] for row in cells(made, "Cross-validation")] == ["top1"]
    assert "0.900" not in "".join("".join(row) for row in cells(made, "Results on the test split"))


def test_grey_in_depth_is_told() -> None:
    assert ("depth of grey", "16 bits") in cells(
        card(evidence({**FULL, "data.bits": one(16, "bits")})), "Data"
    )
    assert not any(row[0] == "depth of grey" for row in cells(card(), "Data"))
