-- The benchmark's own application: one table of tasks, and who is in which team. As plain as what it is held against:
-- the same columns as the raw table, plus the team.
CREATE SCHEMA bench;

CREATE TABLE bench.members (
    user_id uuid NOT NULL REFERENCES homing.users (id) ON DELETE CASCADE,
    team_id uuid NOT NULL,
    PRIMARY KEY (user_id, team_id)
);

CREATE TABLE bench.items (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    team_id uuid NOT NULL,
    title text NOT NULL CHECK (title <> ''),
    status text NOT NULL CHECK (status IN ('open', 'in_progress', 'blocked', 'done')),
    quantity integer NOT NULL CHECK (quantity >= 0),
    notes text NOT NULL,
    updated_at timestamptz NOT NULL
);
