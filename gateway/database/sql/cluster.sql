-- name: lock_joining
-- Held to the end of the transaction: of two that join with different keys at the same time, one has to see the other.
SELECT pg_advisory_xact_lock(1836016460)

-- name: member_with_other_key
-- The address of a member that is there and has none of these keys.
SELECT m.address FROM cluster_members m
WHERE NOT m.key_ids && $1::text[] AND EXISTS (
    SELECT FROM pg_locks l
    WHERE l.locktype = 'advisory' AND l.classid = 1836016458 AND l.objid = m.number::oid AND l.objsubid = 2
          AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()))
LIMIT 1

-- name: join_cluster
-- A process is there, reached at $2.
INSERT INTO cluster_members (id, address, key_ids) VALUES ($1, $2, $3) RETURNING number

-- name: lock_member
-- That the process lives; the lock ends with the connection. A former one may have it still: that is ended.
SELECT pg_try_advisory_lock(1836016458, $1::int)

-- name: end_former_connection
-- Ends the connection that has the lock of a member which is connected anew: it may live on where a network has failed.
SELECT count(pg_terminate_backend(l.pid)) FROM pg_locks l JOIN pg_stat_activity a USING (pid)
WHERE l.locktype = 'advisory' AND l.classid = 1836016458 AND l.objid = $1::int::oid AND l.objsubid = 2
      AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
      AND l.pid <> pg_backend_pid() AND {{may_be_ended}}

-- name: may_be_ended
-- Whether this one may end the connection `a`: another role is no reason to fail.
pg_has_role(a.usesysid, 'USAGE')

-- name: find_dead_connections_soon
-- Has the system find out within seconds that nobody is behind this connection, which holds locks.
SELECT set_config('tcp_keepalives_idle', '3', false), set_config('tcp_keepalives_interval', '2', false),
       set_config('tcp_keepalives_count', '3', false), set_config('tcp_user_timeout', '10000', false)

-- name: try_lead
-- One process of all does what is to be done once; the lock ends with the connection. That of a member which has said
-- nothing for $1 seconds is ended: where a network has failed it may live on, whoever reaches the member else.
WITH tried AS MATERIALIZED (SELECT pg_try_advisory_lock(1836016459) AS leads),
ended AS (
    SELECT pg_terminate_backend(leader.pid)
    FROM tried, pg_locks leader JOIN pg_stat_activity a USING (pid)
    WHERE NOT tried.leads AND leader.locktype = 'advisory' AND leader.classid = 0 AND leader.objid = 1836016459
          AND leader.objsubid = 1 AND leader.granted AND {{may_be_ended}}
          AND leader.database = (SELECT oid FROM pg_database WHERE datname = current_database())
          AND NOT EXISTS (
              SELECT FROM pg_locks l JOIN cluster_members m ON l.objid = m.number::oid
              WHERE l.pid = leader.pid AND l.locktype = 'advisory' AND l.classid = 1836016458 AND l.objsubid = 2
                    AND m.seen_at > now() - make_interval(secs => $1::float8))
)
SELECT leads FROM tried LEFT JOIN ended ON true LIMIT 1

-- name: stop_leading
-- Another process may do what is to be done once.
SELECT pg_advisory_unlock(1836016459)

-- name: beat
-- A member says that it is there and which keys it has, and sees who else is there; without its own row it was taken for
-- dead.
WITH seen AS (UPDATE cluster_members SET seen_at = now(), key_ids = $2 WHERE id = $1)
SELECT m.id, m.number, m.address, m.leaving, extract(epoch FROM now() - m.seen_at)::float8 AS silent_seconds,
       EXISTS (SELECT FROM pg_locks l
               WHERE l.locktype = 'advisory' AND l.classid = 1836016458 AND l.objid = m.number::oid AND l.objsubid = 2
                     AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())) AS is_locked,
       EXISTS (SELECT FROM pg_locks l
               WHERE l.locktype = 'advisory' AND l.classid = 1836016458 AND l.objid = m.number::oid AND l.objsubid = 2
                     AND l.pid = pg_backend_pid()) AS is_locked_here,
       EXISTS (SELECT FROM pg_locks l JOIN pg_locks leader USING (pid, database)
               WHERE l.locktype = 'advisory' AND l.classid = 1836016458 AND l.objid = m.number::oid AND l.objsubid = 2
                     AND leader.locktype = 'advisory' AND leader.classid = 0 AND leader.objid = 1836016459
                     AND leader.objsubid = 1
                     AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())) AS leads
FROM cluster_members m ORDER BY m.number

-- name: reap_member
-- Takes a member for dead whose connection has ended, or that has said nothing for $2 seconds; what it owned is free.
WITH gone AS (
    DELETE FROM cluster_members m
    WHERE m.id = $1 AND (m.seen_at < now() - make_interval(secs => $2::float8) OR NOT EXISTS (
        SELECT FROM pg_locks l
        WHERE l.locktype = 'advisory' AND l.classid = 1836016458 AND l.objid = m.number::oid AND l.objsubid = 2
              AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())))
    RETURNING m.number
), ended AS (
    -- A process that is stopped in its tracks would keep its locks, and with them what is done once.
    SELECT pg_terminate_backend(l.pid) FROM gone, pg_locks l JOIN pg_stat_activity a USING (pid)
    WHERE l.locktype = 'advisory' AND l.classid = 1836016458 AND l.objid = gone.number::oid AND l.objsubid = 2
          AND {{may_be_ended}}
          AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
)
SELECT count(*) FROM gone LEFT JOIN ended ON true

-- name: leave_cluster
-- A member that stops takes over nothing new.
UPDATE cluster_members SET leaving = true WHERE id = $1

-- name: release_servers
-- The servers of a member that stops are for others to take over.
DELETE FROM server_owners WHERE member_id = $1

-- name: remove_member
-- A member has stopped.
DELETE FROM cluster_members WHERE id = $1

-- name: notify_cluster
-- Who is there is not as it was.
SELECT pg_notify('modelgate_cluster', '')

-- name: claim_server
-- Who owns a server; where nobody does, the member that owns the fewest, and of several of these $3.
WITH claimed AS (
    INSERT INTO server_owners (tenant_id, server_id, member_id)
    SELECT $1::bigint, $2::bigint, m.id
    FROM cluster_members m LEFT JOIN server_owners o ON o.member_id = m.id
    WHERE NOT m.leaving AND EXISTS (SELECT FROM servers s WHERE s.tenant_id = $1 AND s.id = $2)
    GROUP BY m.id ORDER BY count(o.server_id), m.id <> $3::text, m.id LIMIT 1
    ON CONFLICT (tenant_id, server_id) DO NOTHING
    RETURNING member_id
)
SELECT member_id FROM claimed
UNION ALL
SELECT member_id FROM server_owners WHERE tenant_id = $1 AND server_id = $2
LIMIT 1
