-- Another node that has subscribers, if there is one: only then is a hint worth sending.
SELECT n.node FROM homing.live_nodes n
WHERE n.node <> %(node)s AND n.seen_at > now() - make_interval(secs => %(seconds)s) LIMIT 1
