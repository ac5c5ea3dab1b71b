"""The benchmark: raw PostgreSQL, the thinnest honest server, Homing and (where installed) Kinto in one run.

``python -m bench`` starts its own PostgreSQL, puts the same rows through each contender in turn, and prints what each
did and the ratios between them. On a shared machine the absolute numbers say little; the ratios of legs that ran
seconds apart say more, and each ratio is the median over rounds of ratios *within* a round.

Not shipped: nothing in ``src`` imports it.
"""
