"""The numbers and texts of the report page."""

from prodgen.report import evaluation_sections, run_page


def test_costs_are_summed_over_the_sessions_of_a_run():
    timing = [
        {"step": 100, "session": 0, "seconds/loop": 10.0, "peak_host_mb": 900.0},
        {"step": 150, "images_per_s": 64.0},
        {"step": 200, "session": 0, "seconds/loop": 25.0, "peak_host_mb": 950.0},
        {"step": 300, "session": 200, "seconds/loop": 7.5, "peak_host_mb": 940.0},
    ]
    costs = run_page._sum_costs(timing)
    assert costs["Training and evaluation"] == "32.5 s"
    assert costs["Peak host memory"] == "950 MB" and costs["Sessions"] == 2
    assert run_page._sum_costs([{"step": 1, "images_per_s": 1.0}]) == {}


def test_a_value_that_rounds_to_zero_has_no_sign(tmp_path):
    evaluation = {
        "distances": {"classifier-1": {"frechet": {"value": -0.0049, "real_baseline": -0.006}}},
        "condition_accuracy": {},
        "memorisation": {"copies": 0.0},
    }
    description = "Frechet distance, classifier; real images get -0.01"
    assert evaluation_sections.build_cards(evaluation)[0] == (description, "0.00")
    cards = run_page._build_cards({"val/frechet": -0.0049}, [], tmp_path / "none.json")
    assert ">0.00 <" in cards
