-- About to be sent: from here on the item is what it is.
UPDATE _outbox SET status = 'in_flight', item = :item, batch_token = :batch_token WHERE op = :op
