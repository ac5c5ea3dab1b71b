-- Spec 3's policy: for the API's role, a message exists for its two people only, whatever a query forgot to say. The
-- sub-selects are the same for all rows, so PostgreSQL asks once a statement.
ALTER TABLE messaging.messages ENABLE ROW LEVEL SECURITY;
CREATE POLICY messages_user_policy ON messaging.messages FOR ALL
    USING (sender_id = (SELECT homing.current_user_id()) OR recipient_id = (SELECT homing.current_user_id()));
