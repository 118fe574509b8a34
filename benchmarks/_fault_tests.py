"""Faults that a test of the tree injects already: {section: {fault: test}}."""

COVERAGE = {
    "death": {
        "every kind of damage to a checkpoint's files": "tests/runs/test_checkpoint.py::"
        "test_every_damaged_file_is_noticed_and_the_one_before_is_used",
        "all checkpoints damaged": "tests/test_resume.py::"
        "test_when_no_checkpoint_passes_the_run_stops_with_65_and_names_them",
        "checkpoint of other leaves": "tests/runs/test_checkpoint.py::test_other_leaves_are_named",
        "checkpoint without its manifest": "tests/runs/test_checkpoint.py::"
        "test_without_its_manifest_a_checkpoint_never_was",
        "save after every step with donation": "tests/runs/test_checkpoint.py::"
        "test_the_snapshot_is_of_the_moment",
        "too little free space at the start": "tests/runs/test_checkpoint.py::"
        "test_a_disk_without_space_for_three_states_is_reported",
        "workdir is a file or read-only": "tests/test_commandline.py::"
        "test_a_wrong_command_ends_with_one_line_before_jax_is_loaded",
    },
    "data": {
        "no image, truncated, bombs": "tests/core/test_decode.py::"
        "test_what_is_no_picture_is_refused",
        "10,000 mutated files": "tests/test_hostile.py::"
        "test_damaged_images_are_read_or_refused_by_name",
        "an image that kills its process": "tests/data/test_prepare.py::"
        "test_an_image_that_kills_its_process_is_refused",
        "store changed after prepare": "tests/data/test_store.py::"
        "test_opening_names_a_damaged_file",
        "shard truncated during a run": "tests/data/test_store.py::"
        "test_a_shard_truncated_during_a_run_is_an_error_not_a_crash",
        "too few images": "tests/data/test_prepare.py::"
        "test_too_few_images_are_bad_data_with_counts_and_reasons",
        "SIGKILL while preparing": "tests/data/test_prepare.py::"
        "test_a_killed_build_continues_to_the_same_bytes",
    },
    "config": {
        "wrong names, values and files": "tests/test_commandline.py::"
        "test_a_wrong_command_ends_with_one_line_before_jax_is_loaded",
        "broken config file": "tests/test_commandline.py::"
        "test_a_broken_config_file_is_named_with_its_line",
        "every field with wrong values": "tests/test_config.py::"
        "test_a_wrong_field_or_value_is_refused_with_the_allowed_values",
        "resumed with another config": "tests/test_resume.py::"
        "test_another_config_in_the_folder_is_refused_with_the_difference",
        "unknown failpoint": "tests/core/test_failpoints.py::"
        "test_an_unknown_failpoint_or_action_is_a_usage_error",
        "reader that goes away": "tests/test_resume.py::"
        "test_a_reader_that_goes_away_does_not_stop_the_run",
    },
    "numbers": {
        "a step of a VAE that is not finite": "tests/steps/test_vae.py::"
        "test_a_step_that_is_not_finite_changes_nothing_but_the_counters",
        "a step of a GAN that is not finite": "tests/steps/test_gan.py::"
        "test_a_step_that_is_not_finite_changes_nothing_but_the_counters",
        "jit, pmap, 1 and 8 devices": "tests/test_parity.py::"
        "test_every_family_trains_alike_on_every_mesh",
        "old runs continue bit for bit": "tests/test_old_runs.py::"
        "test_an_old_run_continues_bit_for_bit",
    },
}  # fmt: skip
