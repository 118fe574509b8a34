"""The report's arithmetic."""

from prodgen.report import html, judged


def test_costs_are_summed_over_the_sessions_of_a_run():
    timing = [
        {"step": 100, "session": 0, "seconds/loop": 10.0, "peak_host_mb": 900.0},
        {"step": 150, "images_per_s": 64.0},
        {"step": 200, "session": 0, "seconds/loop": 25.0, "peak_host_mb": 950.0},
        {"step": 300, "session": 200, "seconds/loop": 7.5, "peak_host_mb": 940.0},
    ]
    found = html._costs(timing)
    assert found["Training and judging"] == "32.5 s"
    assert found["Peak host memory"] == "950 MB" and found["Sessions"] == 2
    assert html._costs([{"step": 1, "images_per_s": 1.0}]) == {}


def test_what_rounds_to_nothing_has_no_sign(tmp_path):
    found = {
        "distances": {"classifier-1": {"frechet": {"value": -0.0049, "real_baseline": -0.006}}},
        "condition_accuracy": {},
        "memorisation": {"copies": 0.0},
    }
    words = "Frechet distance, classifier; real pictures get -0.01"
    assert judged.cards(found)[0] == (words, "0.00")
    assert ">0.00 <" in html._cards({"val/frechet": -0.0049}, [], tmp_path / "none.json")
