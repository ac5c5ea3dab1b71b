DROP POLICY messages_user_policy ON messaging.messages;
ALTER TABLE messaging.messages DISABLE ROW LEVEL SECURITY;
