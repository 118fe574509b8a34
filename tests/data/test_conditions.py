"""Conditions of generated images: those of training images, or requested values."""

import numpy as np
import pytest

from prodgen.core.errors import UsageError
from prodgen.core.types import Attribute, Spec
from prodgen.data.conditions import Conditions
from prodgen.data.known_names import find_name
from prodgen.editing.condition_edits import select_trained_swatches
from prodgen.evaluation.sample_sheets import sheet_conditions


@pytest.fixture
def conditions(store):
    return Conditions.from_store(store)


def training_rows_of(store):
    ids = store.ids("train")
    return {
        (int(store.label[i]), *store.attributes[i].tolist(), *store.known[i].tolist()) for i in ids
    }


def test_each_pick_is_a_training_row_with_its_flags(store, conditions):
    batch = conditions.pick(0, np.arange(40))
    training_rows = training_rows_of(store)
    for i in range(40):
        row = (
            int(batch["label"][i]),
            *batch["attributes"][i].tolist(),
            *batch["known"][i].tolist(),
        )
        assert row in training_rows


def test_a_pick_depends_only_on_seed_and_index(conditions):
    all_rows, row = conditions.pick(4, np.arange(9)), conditions.pick(4, np.array([6]))
    for name in all_rows:
        np.testing.assert_array_equal(all_rows[name][6:7], row[name])


def test_a_pick_has_the_requested_label_and_values(store, conditions):
    values = {"colour": "red", "turn": "90"}
    batch = conditions.pick(1, np.arange(20), "square", values)
    slices = store.spec.column_slices()
    assert (batch["label"] == store.spec.classes.index("square")).all()
    colour = store.spec.attributes[0]
    assert {colour.decode(row) for row in batch["attributes"][:, slices["colour"]]} == {"red"}
    np.testing.assert_allclose(batch["attributes"][:, slices["turn"]], [[1, 0]] * 20, atol=1e-6)
    assert batch["known"][:, slices["turn"]].all()


@pytest.mark.parametrize(
    ("label", "values", "message"),
    [("disk", {}, "did you mean disc"), ("disc", {"colur": "red"}, "did you mean colour"),
     ("disc", {"colour": "rad"}, "did you mean red"), ("disc", {"radius": "big"}, "a number")],
)  # fmt: skip
def test_an_unknown_label_or_attribute_is_refused_with_the_known_ones(
    conditions, label, values, message
):
    with pytest.raises(UsageError, match=message):
        conditions.pick(0, np.arange(2), label, values)


def test_numbers_outside_of_the_training_range_are_named_with_it(conditions):
    # The training images have radii of 3 to 7 pixels.
    inside = {"radius": "7.3", "turn": "-90", "colour": "red", "unknown": "5"}
    assert not conditions.describe_extrapolation(inside)
    (sentence,) = conditions.describe_extrapolation({"radius": "1000"})
    assert sentence == "radius=1000 is outside of the training images' range, 3 to 7"
    assert conditions.describe_extrapolation({"turn": "4000"}) == [
        "turn=4000 is taken as 40 degrees"
    ]
    with pytest.raises(UsageError, match="not a value of the attribute; a number"):
        conditions.pick(0, np.arange(2), values={"radius": "1e400"})


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("R&amp;D", "R&amp;D"), ("A &amp; B", "A & B"), ("cafe\u0301", "caf\u00e9"),
        ("NA", "NA"), ("sp ", "sp "), ("sp", "sp"), ("sp  ", "sp  "), (" color ", "colour"),
    ],
)  # fmt: skip
def test_a_known_name_is_itself_before_it_is_another_ones_spelling(text, name):
    names = ["R&amp;D", "R&D", "A & B", "caf\u00e9", "NA", "sp ", "sp", "colour"]
    assert find_name(text, names) == name


def test_american_spelling_is_accepted(conditions):
    rows = [conditions.pick(0, np.arange(3), "disc", {name: "red"}) for name in ("color", "colour")]
    np.testing.assert_array_equal(rows[0]["attributes"], rows[1]["attributes"])


def test_conditions_are_equal_after_saving_and_loading(store, conditions, tmp_path):
    conditions.save(tmp_path)
    again = Conditions.load(tmp_path, store.spec)
    np.testing.assert_array_equal(again.attributes, conditions.attributes)
    np.testing.assert_array_equal(again.known, conditions.known)


def test_what_has_no_training_image_is_refused(store, conditions, tmp_path):
    disc, red = store.spec.classes.index("disc"), store.spec.column_slices()["colour"].start
    train = store.ids("train")
    assert conditions.label_counts[disc] == (store.label[train] == disc).sum() > 0
    assert conditions.column_counts[red] == store.attributes[train, red].sum() > 0
    conditions.label_counts[disc] = conditions.column_counts[red] = 0
    conditions.save(tmp_path)
    run_conditions = Conditions.load(tmp_path, store.spec)
    assert (
        "disc" not in run_conditions.trained_classes()
        and "square" in run_conditions.trained_classes()
    )
    with pytest.raises(UsageError, match="'disc' has no training image.*images of square"):
        run_conditions.pick(0, np.arange(2), "disc")
    value = store.spec.attributes[0].values[0]
    with pytest.raises(UsageError, match=f"colour='{value}' has no training image"):
        run_conditions.pick(0, np.arange(2), "square", {"colour": value})
    # Sheets of all categories leave it out, and no colour without training images is chosen.
    assert sheet_conditions(run_conditions, 0, 2)[1] == ("square",)
    swatches = {name: (0, 0, 0) for name in (*store.spec.attributes[0].values, "other")}
    assert select_trained_swatches(swatches, run_conditions).keys() == swatches.keys() - {value}
    # Runs that did not store the counts refuse nothing.
    run_conditions.label_counts = run_conditions.column_counts = None
    assert (run_conditions.pick(0, np.arange(2), "disc", {"colour": value})["label"] == disc).all()
    run_conditions.save(tmp_path)
    assert Conditions.load(tmp_path, store.spec).label_counts is None


def test_unconditional_rows_are_unknown_and_refuse_a_label(store):
    unconditional = Conditions.from_store(store).to_unconditional()
    rows = unconditional.pick(0, np.arange(4))
    assert (rows["label"] == -1).all() and not rows["known"].any()
    assert rows["attributes"].shape == (4, store.spec.num_columns)
    with pytest.raises(UsageError, match="there are none"):
        unconditional.pick(0, np.arange(4), "disc")


def test_few_rows_of_a_value_are_not_filled_up_with_others():
    colour = Attribute("colour", "categorical", ("red", "teal"))
    shade = Attribute("shade", "number")
    spec = Spec(16, 3, ("mug",), (colour, shade))
    teal = np.arange(40) < 3
    columns = [~teal, teal, np.where(teal, 5.0, -5.0)]
    attributes = np.float32(np.stack(columns, axis=1))
    conditions = Conditions(spec, np.zeros(40, np.int32), attributes, np.ones((40, 3), bool))
    picked_rows = conditions.pick(0, np.arange(20), "mug", {"colour": "teal"})
    # The numbers of the row are those of a teal product as well.
    np.testing.assert_array_equal(picked_rows["attributes"], np.tile([0, 1, 5], (20, 1)))
    # A value that no row has: the nearest rows, and the value replaces theirs.
    attributes[:, :2] = [1, 0]
    picked_rows = conditions.pick(0, np.arange(20), "mug", {"colour": "teal"})
    assert len(np.unique(picked_rows["attributes"][:, 2])) == 2
    assert (picked_rows["attributes"][:, 1] == 1).all()
