"""The programs that users start: run_train.py and run_sample.py, or the installed commands."""
