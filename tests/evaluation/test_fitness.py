"""What a run is fit for: the verdicts on hand-made evidence, and the measurement of a tiny run."""

import dataclasses
import json

import numpy as np
import pytest

from prodgen.evaluation import classifier, fitness, fitness_evidence, fitness_record
from prodgen.evaluation.fitness import CategoryEvidence, Evidence
from prodgen.report import fitness_card
from prodgen.runs.run import open_run
from tests.tiny import vae_run

GOOD = Evidence(
    "vaegan", 64, 3200, 256, True, True, True, 0.95,
    psnr=24.0, mean_photo_psnr=14.0, explained_variance=0.92, explained_edges=0.5,
    perceptual_distance=0.1, perceptual_distance_of_others=1.0, recognised_share=0.9,
    sharpness=0.8, frechet=40.0, real_frechet=20.0,
    attributes={"colour": ("share", 0.9, 0.95), "azimuth": ("error", 20.0, 18.0)},
    attribute_names=("colour", "azimuth"),
    categories=(CategoryEvidence("mug", 200, 0.9, 16, 1.0, 16),
                CategoryEvidence("lamp", 200, 0.8, 16, 0.9, 16)),
)  # fmt: skip


def levels(**facts):
    result = fitness.judge(dataclasses.replace(GOOD, **facts))
    return {use: verdict.level for use, verdict in result.uses.items()}


def test_a_good_run_is_fit_for_all_and_says_its_size():
    result = fitness.judge(GOOD)
    assert set(levels().values()) == {"fit"} and set(result.uses) == set(fitness.USES)
    lines = fitness.describe(result)
    assert lines[0] == "It draws 2 of 2 categories, at 64 x 64 pixels."
    assert "500 pixels" in lines[1] and "adds no detail" in lines[1]
    large = fitness.describe(fitness.judge(dataclasses.replace(GOOD, resolution=512)))
    assert not any("500" in line for line in large)


def test_a_run_that_gives_photos_back_as_patches_is_unfit_to_vary_them():
    by_name = levels(psnr=15.0, explained_variance=0.5, explained_edges=0.05)
    assert {by_name[use] for use in ("vary", "attribute", "mix", "inpaint", "views")} == {"unfit"}
    assert by_name["sample"] == "fit"
    poor = dataclasses.replace(GOOD, explained_edges=0.05)
    assert "blurred patches" in fitness.judge(poor).uses["vary"].reason


@pytest.mark.parametrize(
    ("facts", "use", "level", "reason"),
    [
        ({"sharpness": 0.3}, "sample", "unfit", "very blurred (30% of the photos' edges)"),
        ({"sharpness": 2.5}, "sample", "unfit", "full of noise"),
        ({"frechet": 200.0}, "batch", "unfit", "far from photos (10.0 times"),
        ({"classifier_accuracy": 0.57}, "personalise", "limited", "only 57% of held-out photos"),
        ({"attributes": {"colour": ("share", 0.3, 0.9)}}, "attribute", "unfit", "colour"),
        ({"attribute_names": (), "attributes": {}}, "attribute", "unfit", "without attributes"),
        ({"attribute_names": ("colour",)}, "views", "unfit", "without the attribute azimuth"),
        ({"has_encoder": False}, "vary", "limited", "no encoder"),
        ({"psnr": None}, "mix", "limited", "no photo was held out"),
        ({"sharpness": 0.3}, "vary", "limited", "very blurred"),
    ],
)
def test_each_weakness_has_its_verdict_and_reason(facts, use, level, reason):
    verdict = fitness.judge(dataclasses.replace(GOOD, **facts)).uses[use]
    assert verdict.level == level and reason in verdict.reason


def test_categories_are_judged_one_by_one():
    rows = (
        CategoryEvidence("mug", 200, 0.9, 16, 1.0, 16),
        CategoryEvidence("vase", 200, 0.2, 16, 1.0, 16),
        CategoryEvidence("hat", 12, 0.9, 16, 1.0, 2),
        CategoryEvidence("cap", 3, 0.9, 16, 1.0, 2),
        CategoryEvidence("sofa", 200, 0.2, 16, 0.1, 16),
        CategoryEvidence("desk", 0),
    )
    result = fitness.judge(dataclasses.replace(GOOD, categories=rows))
    by_name = {name: verdict.level for name, verdict in result.categories.items()}
    assert by_name == {
        "mug": "fit", "vase": "unfit", "hat": "limited", "cap": "unfit", "sofa": "limited",
        "desk": "unfit",
    }  # fmt: skip
    assert "even its photos" in result.categories["sofa"].reason
    smooth_run = fitness.judge(dataclasses.replace(GOOD, categories=rows, sharpness=0.2))
    assert {verdict.level for verdict in smooth_run.categories.values()} == {"unfit"}


def test_nothing_is_drawn_where_neither_copies_nor_the_classifier_show_products():
    patches = {"psnr": 16.0, "explained_variance": 0.5, "explained_edges": -0.1}
    assert levels(**patches)["sample"] == "fit"  # a good classifier recognises the samples
    assert levels(**patches, classifier_accuracy=0.2)["sample"] == "unfit"
    assert levels(**patches, knows_labels=False)["personalise"] == "unfit"
    assert levels(classifier_accuracy=0.2)["sample"] == "limited"


def test_a_weak_classifier_has_a_caution():
    assert "57%" in classifier.describe_weakness({"accuracy": 0.57})
    assert classifier.describe_weakness({"accuracy": 0.8}) == classifier.describe_weakness({}) == ""


@pytest.fixture(scope="module")
def run(azimuth_store, tmp_path_factory):
    return open_run(vae_run(tmp_path_factory.mktemp("fitness") / "run", azimuth_store, 120))


@pytest.mark.slow
def test_a_run_is_measured_once_and_again_with_a_classifier(run, azimuth_store):
    from prodgen.data.conditions import Conditions

    conditions, calls = Conditions.load(run.path, run.spec), []
    partial = fitness_record.measure_and_save(run, azimuth_store, conditions, None)
    assert partial.evidence.psnr > 10 and partial.evidence.frechet is None
    reference = classifier.load_or_train(azimuth_store, run.config.data, lambda text: None)

    def open_store():
        calls.append(1)
        return azimuth_store

    for _ in range(2):
        result = fitness_record.load_or_measure(
            run, conditions, open_store, lambda: reference, lambda text: None
        )
    assert len(calls) == 1 and fitness_record.load(run) == result
    evidence = result.evidence
    assert evidence.knows_labels and evidence.frechet > 0 and evidence.resolution == 16
    assert [c.name for c in evidence.categories] == ["disc", "square"]
    assert all(c.samples == 16 and 0 <= c.sample_accuracy <= 1 for c in evidence.categories)
    assert set(evidence.attributes) == {"colour", "elevation", "azimuth"}
    content = json.loads((run.path / "fitness.json").read_text())
    assert content["fingerprint"] == run.record["fingerprint"] and content["step"] == run.step
    # A file of another version is measured again; a damaged one too.
    (run.path / "fitness.json").write_text(json.dumps(content | {"version": 0}))
    assert fitness_record.load(run) is None
    (run.path / "fitness.json").write_text("{")
    assert fitness_record.load(run) is None
    assert fitness_card.build_section(run.path) == ""


def test_the_card_shows_verdicts_and_evidence():
    page = fitness_card.build_card(json.loads(json.dumps(fitness.to_json(fitness.judge(GOOD)))))
    for text in ("What this run is fit for", "It draws 2 of 2", "lamp", "14 of 16", "24.0", "95%"):
        assert text in page, text


def test_edge_contrast_of_a_blurred_image_is_lower():
    sharp = np.zeros((1, 16, 16, 3), np.uint8)
    sharp[:, :, 8:] = 200
    smooth = np.uint8(np.linspace(0, 200, 16))[None, None, :, None].repeat(16, 1).repeat(3, 3)
    assert fitness_evidence.edge_contrast(smooth) < 0.5 * fitness_evidence.edge_contrast(sharp)
