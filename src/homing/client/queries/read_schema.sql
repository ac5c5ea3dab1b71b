-- The stored schema alone: asked before every local write, to notice what another process fetched.
SELECT schema FROM _state
