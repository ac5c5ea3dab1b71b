-- This transaction is idle while a file is read; the session's bound is for transactions that were forgotten.
SELECT set_config('idle_in_transaction_session_timeout', %(seconds)s, true)
