DROP INDEX marketplace.proposals_of_status;
