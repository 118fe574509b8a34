"""Generated pictures borrow the conditions of real ones."""

import numpy as np
import pytest

from prodgen.core.errors import UsageError
from prodgen.data.conditions import Conditions


@pytest.fixture
def conditions(store):
    return Conditions.from_store(store)


def rows_of(store):
    ids = store.ids("train")
    return {
        (int(store.label[i]), *store.attributes[i].tolist(), *store.known[i].tolist()) for i in ids
    }


def test_each_pick_is_some_training_row_with_its_flags(store, conditions):
    found = conditions.pick(0, np.arange(40))
    real = rows_of(store)
    for i in range(40):
        row = (
            int(found["label"][i]),
            *found["attributes"][i].tolist(),
            *found["known"][i].tolist(),
        )
        assert row in real


def test_a_pick_depends_on_its_index_alone(conditions):
    whole, one = conditions.pick(4, np.arange(9)), conditions.pick(4, np.array([6]))
    for name in whole:
        np.testing.assert_array_equal(whole[name][6:7], one[name])


def test_label_and_values_are_what_was_asked(store, conditions):
    wanted = {"colour": "red", "turn": "90"}
    found = conditions.pick(1, np.arange(20), "square", wanted)
    place = store.spec.slices()
    assert (found["label"] == store.spec.classes.index("square")).all()
    colour = store.spec.attributes[0]
    assert {colour.decode(row) for row in found["attributes"][:, place["colour"]]} == {"red"}
    np.testing.assert_allclose(found["attributes"][:, place["turn"]], [[1, 0]] * 20, atol=1e-6)
    assert found["known"][:, place["turn"]].all()


@pytest.mark.parametrize(
    ("label", "wanted", "says"),
    [("disk", {}, "did you mean disc"), ("disc", {"colur": "red"}, "did you mean colour"),
     ("disc", {"colour": "rad"}, "did you mean red"), ("disc", {"radius": "big"}, "a number")],
)  # fmt: skip
def test_what_the_run_does_not_know_is_refused_with_what_it_knows(conditions, label, wanted, says):
    with pytest.raises(UsageError, match=says):
        conditions.pick(0, np.arange(2), label, wanted)


def test_american_spelling_is_accepted(conditions):
    rows = [conditions.pick(0, np.arange(3), "disc", {name: "red"}) for name in ("color", "colour")]
    np.testing.assert_array_equal(rows[0]["attributes"], rows[1]["attributes"])


def test_saved_and_loaded(store, conditions, tmp_path):
    conditions.save(tmp_path)
    again = Conditions.load(tmp_path, store.spec)
    np.testing.assert_array_equal(again.attributes, conditions.attributes)
    np.testing.assert_array_equal(again.known, conditions.known)


def test_hidden_conditions_say_nothing_and_take_no_requests(store):
    hidden = Conditions.from_store(store).to_unconditional()
    rows = hidden.pick(0, np.arange(4))
    assert (rows["label"] == -1).all() and not rows["known"].any()
    assert rows["attributes"].shape == (4, store.spec.columns)
    with pytest.raises(UsageError, match="there are none"):
        hidden.pick(0, np.arange(4), "disc")
