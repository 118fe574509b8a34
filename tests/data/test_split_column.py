"""The column of an official split: which values it may have, and what happens to other rows."""

import pytest

from prodgen.core.errors import UsageError
from prodgen.data.split_column import read_split_column


@pytest.mark.parametrize(
    ("cells", "remark", "problem"),
    [
        (["train"] * 6 + ["test"] * 2 + ["eval"] * 2, "rows of 'eval' (2) are left out", "'eval'"),
        (["train"] * 6 + ["Val", None], "1 rows without a split are left out", "an empty cell"),
        (["test", None, None, None], "3 rows without a split count as training images", ""),
        (["train", "TEST", "dev"], "", ""),
        (["train", "test", "x", "x", "x"], "rows of 'x' (3) are left out", "'x'"),
        (["train", "train", "eval"], "rows of 'eval' (1) are left out", "'eval'"),
    ],
)
def test_an_official_split_is_kept_and_rows_of_other_values_are_refused(cells, remark, problem):
    column, reason = read_split_column("split", cells, is_explicit=False)
    assert reason == remark
    problems = {column.find_problem({"split": cell}) for cell in cells} - {""}
    sentence = f"split: {problem} is none of train, validation, test"
    assert problems == ({sentence} if problem else set())


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        (["0", "1", "1", "2"], "'1' (2), '0' (1), '2' (1) are none of train, validation, test"),
        (["test", "test", "eval"], "'eval' (1) is none of .*, and the others are all test"),
        (["dev", "test", "a", "a"], "'a' (2) is none of .*, and only 2 of 4 rows have one"),
        ([None, None], "it is empty"),
    ],
)
def test_a_column_without_an_official_split_names_its_values(cells, reason):
    reason = reason.replace("(", r"\(").replace(")", r"\)")
    column, words = read_split_column("fold", cells, is_explicit=False)
    assert column is None and words.endswith("the splits are chosen at random")
    with pytest.raises(UsageError, match=f"fold=split, but {reason}"):
        read_split_column("fold", cells, is_explicit=True)
