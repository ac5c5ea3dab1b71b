"""Payments: a client pays what was agreed with a freelancer, through a gateway.

The card never comes here: the gateway (Stripe, or the sandbox) gives an intent with a secret, the client's own app
confirms it there, and the gateway tells us by signed events what became of it.

*No network inside a transaction.* Asking is three steps (``intents.py``): a transaction that writes down what is asked,
a call of the gateway under that payment's own idempotency key, a transaction that writes down its answer. Whatever dies
between them, asking again goes on where it ended, and there is one intent.

*A status only goes forward.* Events come twice, late, and in any order. Each status has a rank
(``marketplace.payment_rank``), a payment takes the higher one, and so every order of events ends in the same status.
What happens when it becomes ``succeeded`` happens in the transaction in which it does, so once.
"""
