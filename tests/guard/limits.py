# SPDX-License-Identifier: BSD-2-Clause
"""What things may cost: the figures of today, which only become smaller.

Counts of instructions, system calls and allocations, which are the same on a
busy machine and an idle one.  Measured with gcc 12, glibc 2.36, nginx 1.22 by

    CHECKERD_BUILD=build tests/guard/guard.py checks|requests|picks

which prints them all.  Lower a limit when a figure has become smaller; to
raise one is a decision that wants its reason in the commit.
"""

# On top of each, for other versions of compiler and libraries.
MARGIN = 0.03

# name: what it may be
LIMITS = {
    # A plain HTTP check, a connection each and over one that is kept.
    # Instructions of everything but libsystemd, whose share is one per turn of
    # the event loop; calls but those of the turns, which are counted apart.  Both
    # are most on an idle machine, with a turn for each check.
    "check_fresh_instructions": 9540,
    "check_fresh_calls": 8,
    "check_fresh_turn_calls": 6,
    "check_fresh_allocations": 0,
    "check_kept_instructions": 9260,
    "check_kept_calls": 2,
    "check_kept_turn_calls": 6,
    "check_kept_allocations": 0,
    # Added to an nginx request in overlay mode when nothing has changed.
    "request_1_added_instructions": 96,
    "request_1000_added_instructions": 96,
    # A pick in pool mode, of so many hosts, and how it grows; of 1 000 hosts it
    # is from 1 157 to 1 212, by where in its turns a worker begins.
    "pick_round_robin_10_instructions": 800,
    "pick_round_robin_1000_instructions": 1212,
    "pick_round_robin_1000_to_10": 1.57,
}
