-- The office counts and lists proposals by state, among very many that are long decided.
CREATE INDEX proposals_of_status ON marketplace.proposals (status, created_at DESC, id DESC);
