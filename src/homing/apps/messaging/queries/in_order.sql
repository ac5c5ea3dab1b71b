-- Plans of this transaction go along indexes in order, and stop at the limit. The policy on messages asks once more what
-- the query asked; the planner takes that for two conditions, expects next to nothing, and would read and sort everything.
SET LOCAL enable_sort = off
