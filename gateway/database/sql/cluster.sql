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
-- That the process lives; the lock ends with the connection. A former one may have it still, and then it is asked again.
SELECT pg_try_advisory_lock(1836016458, $1::int)

-- name: try_lead
-- One process of all does what is to be done once; the lock ends with the connection.
SELECT pg_try_advisory_lock(1836016459)

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
    SELECT pg_terminate_backend(l.pid) FROM pg_locks l, gone
    WHERE l.locktype = 'advisory' AND l.classid = 1836016458 AND l.objid = gone.number::oid AND l.objsubid = 2
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
