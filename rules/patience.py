"""How many attempts fit into a time.

A step's patience counts attempts and not the clock: while no worker runs, nothing is tried and nothing is
given up. Invariants: at least one attempt; never fewer with more patience; the pauses before the last attempt
add up to no more than the patience.
"""

FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 30.0
GROWTH = 2.0


def attempts_within(patience_s: float) -> int:
    attempts, pause, spent = 1, FIRST_PAUSE_S, FIRST_PAUSE_S
    while spent <= patience_s:
        attempts += 1
        pause = min(pause * GROWTH, LONGEST_PAUSE_S)
        spent += pause
    return attempts
