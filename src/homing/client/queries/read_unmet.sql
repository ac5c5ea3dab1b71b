-- The temp ids an edit names that have no answer.
SELECT json_group_array(n.temp_id) AS unmet FROM _needs n JOIN _temp_ids t ON t.temp_id = n.temp_id
WHERE n.op = :op AND t.server_id IS NULL
