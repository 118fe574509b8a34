"""The part of a shell script that passes signals on, and waits for the program's exit code."""

from __future__ import annotations

# `wait` ends early when a signal arrives, with a code above 128, and is then repeated.
FUNCTIONS = """\
is_signalled=0
forward() {{
    trap '' {signals}
    is_signalled=1
    {command}
}}
trap forward {signals}

# Waits for the program that was started last, and sets its exit code.
wait_for_program() {{
    wait "$!"
    code=$?
    if [ "$is_signalled" -eq 1 ]; then
        wait "$!"
        status=$?
        [ "$status" -eq 127 ] || code=$status # 127: it had ended before
    fi
}}
"""


def format_forwarding(signals: str, command: str) -> str:
    """Shell functions: a signal runs `command` once; `wait_for_program` sets $code.

    signals: names as `trap` takes them. After a signal the variable is_signalled is 1.
    """
    return FUNCTIONS.format(signals=signals, command=command)
