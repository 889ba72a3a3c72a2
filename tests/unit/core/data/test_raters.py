"""Several people's labels of the same images: which one counts, and what becomes of ties."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from resnet_ops.data.listing.csv_listing import extra_columns, list_csv
from resnet_ops.data.listing.listings import list_images
from resnet_ops.data.listing.raters import rating_columns
from resnet_ops.errors import DataError
from tests.unit.core.makers import make_data_params

Writer = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Writer:
    def run(*rows: str, header: str = "path,label_1,label_2,label_3") -> Path:
        (tmp_path / "images.csv").write_text("\n".join([header, *rows]))
        return tmp_path / "images.csv"

    return run


def classes(file: Path, **changes: Any) -> tuple[list[str], list[str]]:
    found = list_images(make_data_params(source="csv", root=str(file), **changes))
    return [each.class_name for each in found.images], found.notes


def test_the_class_is_the_one_that_most_raters_named(write: Writer) -> None:
    file = write("a.png,crack,none,crack", "b.png,none,,none", "c.png,,,crack")
    assert classes(file) == (["crack", "none", "crack"], [])


@pytest.mark.parametrize(
    ("how", "expected"), [("drop", ["crack", "none"]), ("first", ["crack", "none", "scratch"])]
)
def test_ties_are_listed_and_settled_as_conflicts_are(write: Writer, how: str, expected: list[str]) -> None:
    file = write("a.png,crack,,crack", "b.png,none,none,crack", "c.png,scratch,none,crack")
    found, notes = classes(file, conflicts=how)
    assert found == expected
    assert len(notes) == 1
    assert "c.png (scratch 1, none 1, crack 1)" in notes[0]


def test_a_tie_stops_where_conflicts_do(write: Writer) -> None:
    file = write("a.png,crack,none,", "b.png,none,none,crack")
    with pytest.raises(DataError, match=r"a\.png \(crack 1, none 1\)"):
        classes(file)


def test_a_class_that_somebody_decided_counts_and_ratings_are_kept_beside_it(write: Writer) -> None:
    file = write("a.png,crack,none,none", "b.png,none,none,crack", header="path,class,label_1,label_2")
    found = list_images(make_data_params(source="csv", root=str(file))).images
    assert [each.class_name for each in found] == ["crack", "none"]
    assert found[0].extra == {"label_1": "none", "label_2": "none"}


def test_ratings_that_are_spelt_in_two_ways_are_one_class_where_classes_are(write: Writer) -> None:
    file = write("a.png,Crack,crack,none", "b.png,none,none,crack")
    with pytest.raises(DataError, match="similar_classes"):
        classes(file)
    assert classes(file, similar_classes="merge")[0] == ["crack", "none"]


def test_images_that_nobody_rated_and_files_with_one_rater_are_refused(write: Writer) -> None:
    with pytest.raises(DataError, match="line 3: nobody rated it"):
        list_csv(write("a.png,crack,none,crack", "b.png,,,"), {"train"})
    with pytest.raises(DataError, match="no column class"):
        list_csv(write("a.png,crack", header="path,label_1"), {"train"})
    assert rating_columns(["label_2", "label_10", "label_0", "label_x", "labels"]) == ["label_2", "label_10"]


def images_of(file: Path) -> list[tuple[str, str, dict[str, str]]]:
    found, _ = list_csv(file, {"train", "test"})
    return [(each.path.name, each.class_name, each.extra) for each in found]


def test_a_row_for_each_rating_says_what_a_column_for_each_does(write: Writer) -> None:
    rows = (
        "a.png,crack,bo,p1",
        "b.png,none,ann,p2",
        "a.png,none,ann,p1",
        "a.png,crack,cy,p1",
        "b.png,none,cy,p2",
    )
    long = images_of(write(*rows, header="path,label,rater,patient"))
    wide = images_of(
        write(
            "a.png,p1,none,crack,crack", "b.png,p2,none,none,", header="path,patient,label_1,label_2,label_3"
        )
    )
    assert long == wide
    assert extra_columns(write(*rows, header="path,label,rater,patient")) == ["patient"]
    file = write(*rows, header="path,label,rater,patient")
    assert classes(file) == (["crack", "none"], [])


def test_one_rating_of_each_image_is_its_class(write: Writer) -> None:
    file = write("a.png,crack,bo", "b.png,none,ann", header="path,label,rater")
    assert [name for _, name, _ in images_of(file)] == ["crack", "none"]


def test_ratings_that_contradict_each_other_are_named_by_their_lines(write: Writer) -> None:
    file = write(
        *("a.png,crack,bo,p1", "a.png,none,bo,p1", "a.png,none,ann,p2", "b.png,,ann,p3", "b.png,none,,p3"),
        "b.png,none,cy,p3",
        header="path,label,rater,patient",
    )
    with pytest.raises(DataError) as caught:
        list_csv(file, {"train"})
    for said in (
        "line 3: bo rated a.png on line 2 already",
        "line 4: patient of a.png is another one on line 2",
        "line 5: label or rater is empty",
        "line 6: label or rater is empty",
    ):
        assert said in str(caught.value)


def test_an_image_of_which_no_rating_counts_is_not_taken_for_one_without(write: Writer) -> None:
    file = write("a.png,,bo", "b.png,none,ann", "b.png,none,bo", header="path,label,rater")
    with pytest.raises(DataError, match="line 2: label or rater is empty"):
        list_csv(file, {"train"})


def test_with_a_class_the_columns_label_and_rater_mean_nothing_new(write: Writer) -> None:
    file = write("a.png,crack,none,bo", "b.png,none,none,bo", header="path,class,label,rater")
    assert [(name, extra) for _, name, extra in images_of(file)] == [
        ("crack", {"rater": "bo"}),
        ("none", {"rater": "bo"}),
    ]
