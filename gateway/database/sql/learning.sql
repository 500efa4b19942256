-- name: learnt_of_embedding
-- What is learnt, l, beside the vectors e of a tool, where it was learnt with the texts that these are of.
l.tenant_id = e.tenant_id AND l.tool_id = e.tool_id AND l.space_id = e.space_id AND l.text_hash = e.text_hash
AND l.ranking_embedding IS NOT NULL

-- name: examples_of_tool
-- The examples of a tool, first those of people, then those that were used last.
SELECT id, tool_id, text, source, state, count, calls, callers, first_seen_at, last_seen_at
FROM tool_examples WHERE tenant_id = $1 AND tool_id = $2
ORDER BY source = 'admin' DESC, last_seen_at DESC, id DESC

-- name: count_examples
-- How many examples a tool has that have a place: dismissed ones have none.
SELECT count(*) FROM tool_examples WHERE tenant_id = $1 AND tool_id = $2 AND state <> 'dismissed'

-- name: drop_least_examples
-- The least of the examples of tools $2 that have more than $3, of those that no admin gave: so many are left, or what
-- admins gave. Dismissed ones take no place.
WITH places AS (
    SELECT id, count(*) OVER (PARTITION BY tool_id) AS examples,
           row_number() OVER (PARTITION BY tool_id ORDER BY source = 'admin' OR state = 'approved', callers, count,
                              last_seen_at, id) AS place
    FROM tool_examples WHERE tenant_id = $1 AND tool_id = ANY($2::bigint[]) AND state <> 'dismissed'
)
DELETE FROM tool_examples x USING places p
WHERE x.tenant_id = $1 AND x.id = p.id AND p.place <= p.examples - $3::integer
  AND x.source <> 'admin' AND x.state <> 'approved'
RETURNING x.id, x.tool_id, x.source, x.state, x.calls, x.callers,
          extract(epoch FROM now() - x.last_seen_at)::float8 AS age_seconds

-- name: upsert_admin_example
-- An example that an admin gives; one that was learnt from use is the admin's from now on.
INSERT INTO tool_examples (tenant_id, tool_id, text, text_key, source, state) VALUES ($1, $2, $3, $4, 'admin', 'approved')
ON CONFLICT (tenant_id, tool_id, text_key) DO UPDATE
SET text = excluded.text, source = 'admin', state = 'approved', last_seen_at = now()
RETURNING id

-- name: remove_example
-- An example of tool $2 by its id: an admin's goes, another is dismissed, so that it is not learnt again.
WITH deleted AS (
    DELETE FROM tool_examples WHERE tenant_id = $1 AND tool_id = $2 AND id = $3 AND source = 'admin' RETURNING id
), dismissed AS (
    UPDATE tool_examples SET state = 'dismissed'
    WHERE tenant_id = $1 AND tool_id = $2 AND id = $3 AND source <> 'admin' RETURNING id
)
SELECT id FROM deleted UNION ALL SELECT id FROM dismissed

-- name: approve_example
-- An admin says that an example of tool $2 is meant.
UPDATE tool_examples SET state = 'approved' WHERE tenant_id = $1 AND tool_id = $2 AND id = $3 AND state <> 'approved'

-- name: touch_learning
-- The effect of the examples of tools $2 is to be worked out anew.
INSERT INTO tool_learning (tenant_id, tool_id)
SELECT $1, id FROM tools WHERE tenant_id = $1 AND id = ANY($2::bigint[])
ON CONFLICT (tenant_id, tool_id) DO UPDATE SET version = tool_learning.version + 1

-- name: clear_learnt
-- Nothing is learnt of tools $2 until it is worked out anew.
UPDATE learnt_embeddings SET ranking_embedding = NULL, correction = 0, examples = 0
WHERE tenant_id = $1 AND tool_id = ANY($2::bigint[]) AND ranking_embedding IS NOT NULL

-- name: stale_learning
-- Tools, of any tenant, whose examples have not the effect in a space that they should by now: for another version of
-- them, other texts, other rules ($2), or because time has passed; $3 at most, and of tenant $4 or its tool $5 alone where
-- these are given.
SELECT n.tenant_id, n.tool_id
FROM tool_learning n
JOIN tool_embeddings e ON e.tenant_id = n.tenant_id AND e.tool_id = n.tool_id AND e.space_id = $1
LEFT JOIN learnt_embeddings l ON l.tenant_id = e.tenant_id AND l.tool_id = e.tool_id AND l.space_id = e.space_id
WHERE ($4::bigint IS NULL OR n.tenant_id = $4) AND ($5::bigint IS NULL OR n.tool_id = $5)
  AND e.ranking_embedding IS NOT NULL
  AND (l.tool_id IS NULL OR l.version <> n.version OR l.text_hash <> e.text_hash OR l.rules <> $2
       OR l.examples > 0 AND l.made_at < now() - interval '1 day')
ORDER BY n.tenant_id, n.tool_id
LIMIT $3

-- name: learning_basis (lookup)
-- What is to be known of a tool to work out what is learnt of it in space $3. `trusted`: it is as it was approved.
SELECT n.version, e.text_hash, e.ranking_embedding, t.approved_hash IS NOT DISTINCT FROM t.content_hash AS trusted,
       l.ranking_embedding AS learnt_embedding, l.correction, l.text_hash AS learnt_text_hash
FROM tool_learning n
JOIN tools t ON t.tenant_id = n.tenant_id AND t.id = n.tool_id
JOIN tool_embeddings e ON e.tenant_id = n.tenant_id AND e.tool_id = n.tool_id AND e.space_id = $3
LEFT JOIN learnt_embeddings l ON l.tenant_id = e.tenant_id AND l.tool_id = e.tool_id AND l.space_id = e.space_id
WHERE n.tenant_id = $1 AND n.tool_id = $2

-- name: learning_examples (lookup)
-- The examples of a tool, with their vectors in space $3, null where there is none yet. `share`: how much of one counts;
-- that of what has effect from use, from $4 calls or $5 callers on, is less where accounts say more than one example each.
WITH said AS (
    SELECT c.example_id, c.account, c.calls::float8 / sum(c.calls) OVER (PARTITION BY c.example_id) AS part
    FROM tool_examples x
    JOIN tool_example_callers c ON c.tenant_id = x.tenant_id AND c.example_id = x.id
    WHERE x.tenant_id = $1 AND x.tool_id = $2 AND x.source = 'use' AND x.state = 'counted'
      AND (x.calls >= $4::integer OR x.callers >= $5::integer)
), accounts AS (
    SELECT account, greatest(sum(part), 1) AS examples FROM said GROUP BY account
), shares AS (
    SELECT s.example_id, sum(s.part / a.examples) AS share FROM said s JOIN accounts a ON a.account = s.account
    GROUP BY s.example_id
)
SELECT x.id, x.text, x.source, x.state, x.calls, x.callers,
       extract(epoch FROM now() - x.last_seen_at)::float8 AS age_seconds, v.embedding, coalesce(s.share, 1) AS share
FROM tool_examples x
LEFT JOIN shares s ON s.example_id = x.id
LEFT JOIN tool_example_embeddings v ON v.tenant_id = x.tenant_id AND v.example_id = x.id AND v.space_id = $3
WHERE x.tenant_id = $1 AND x.tool_id = $2
ORDER BY x.id

-- name: examples_to_embed
-- The examples of tools $2 that have no vector in space $3, $4 at most.
SELECT x.id, x.text, v.embedding FROM tool_examples x
LEFT JOIN tool_example_embeddings v ON v.tenant_id = x.tenant_id AND v.example_id = x.id AND v.space_id = $3
WHERE x.tenant_id = $1 AND x.tool_id = ANY($2::bigint[]) AND v.example_id IS NULL
ORDER BY x.id LIMIT $4

-- name: store_example_embedding
-- The vector of example $2 in space $3, where the example is still there and still has text $5.
INSERT INTO tool_example_embeddings (tenant_id, example_id, space_id, embedding)
SELECT $1, x.id, $3, $4 FROM tool_examples x WHERE x.tenant_id = $1 AND x.id = $2 AND x.text = $5
ON CONFLICT (tenant_id, example_id, space_id) DO UPDATE SET embedding = excluded.embedding

-- name: lock_learning
-- What counts the changes of the examples of a tool; they stay as they are until commit.
SELECT version FROM tool_learning WHERE tenant_id = $1 AND tool_id = $2 FOR UPDATE

-- name: store_learnt
-- What is learnt of a tool in space $3 from examples of version $8, by rules $9.
INSERT INTO learnt_embeddings
    (tenant_id, tool_id, space_id, text_hash, ranking_embedding, correction, examples, version, rules)
SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9
FROM tool_embeddings e
WHERE e.tenant_id = $1 AND e.tool_id = $2 AND e.space_id = $3 AND e.text_hash = $4
ON CONFLICT (tenant_id, tool_id, space_id) DO UPDATE
SET text_hash = excluded.text_hash, ranking_embedding = excluded.ranking_embedding, correction = excluded.correction,
    examples = excluded.examples, version = excluded.version, rules = excluded.rules, made_at = now()

-- name: countable_pairs
-- Which of what was said, by their places from 1 on, may be learnt: account $3 searched for it at $4 before it called tool
-- $2, which is there, and that is not to be forgotten. The tools may have examples from now on.
WITH live AS (
    SELECT id FROM tools WHERE tenant_id = $1 AND id = ANY($2::bigint[]) AND removed_at IS NULL
), begun AS (
    INSERT INTO tool_learning (tenant_id, tool_id) SELECT $1, id FROM live ON CONFLICT DO NOTHING
)
SELECT p.place
FROM unnest($2::bigint[], $3::text[], $4::timestamptz[]) WITH ORDINALITY AS p (tool_id, account, at, place)
JOIN live ON live.id = p.tool_id
WHERE NOT EXISTS (SELECT FROM learning_cutoffs c WHERE c.tenant_id = $1 AND c.tool_id IN (0, p.tool_id)
                    AND c.account IN ('', p.account) AND c.cutoff >= p.at)

-- name: examples_of_texts
-- The examples of tools $2 with texts $3 each.
SELECT x.id, x.tool_id, x.text_key FROM tool_examples x
JOIN unnest($2::bigint[], $3::text[]) AS p (tool_id, text_key) ON p.tool_id = x.tool_id AND p.text_key = x.text_key
WHERE x.tenant_id = $1

-- name: examples_with_vectors
-- The examples of tools $2, dismissed ones among them, with their vectors in space $3, null where there is none.
SELECT x.id, x.tool_id, x.text_key, v.embedding
FROM tool_examples x
LEFT JOIN tool_example_embeddings v ON v.tenant_id = x.tenant_id AND v.example_id = x.id AND v.space_id = $3
WHERE x.tenant_id = $1 AND x.tool_id = ANY($2::bigint[])
ORDER BY x.id

-- name: ranking_vectors
-- What tools $2 are ranked by in space $3 as long as nothing is learnt of them.
SELECT tool_id, ranking_embedding FROM tool_embeddings
WHERE tenant_id = $1 AND tool_id = ANY($2::bigint[]) AND space_id = $3 AND ranking_embedding IS NOT NULL

-- name: insert_used_examples
-- What was searched for at $6 before tools $2 were called.
INSERT INTO tool_examples (tenant_id, tool_id, text, text_key, source, state, first_seen_at, last_seen_at)
SELECT $1, p.tool_id, p.text, p.text_key, 'use', p.state, p.at, p.at
FROM unnest($2::bigint[], $3::text[], $4::text[], $5::text[], $6::timestamptz[]) AS p (tool_id, text, text_key, state, at)
RETURNING id, tool_id, text_key

-- name: count_example_callers
-- Calls by accounts $3 that count $4 each for examples $2, for what they searched for at $5 in words $6 with keys $7; where
-- that day's is counted, nothing changes. Each example and account once.
INSERT INTO tool_example_callers AS c (tenant_id, example_id, account, count, calls, first_at, last_at, text, text_key)
SELECT $1, p.example_id, p.account, p.count, 1, p.at, p.at, p.text, p.text_key
FROM unnest($2::bigint[], $3::text[], $4::float4[], $5::timestamptz[], $6::text[], $7::text[])
  AS p (example_id, account, count, at, text, text_key)
ON CONFLICT (tenant_id, example_id, account) DO UPDATE
SET count = c.count + excluded.count, calls = c.calls + 1, last_at = excluded.last_at,
    text = coalesce(c.text, excluded.text), text_key = coalesce(c.text_key, excluded.text_key)
WHERE (c.last_at AT TIME ZONE 'UTC')::date < (excluded.last_at AT TIME ZONE 'UTC')::date

-- name: recount_examples
-- How often examples $2 were used, by how many, and from when to when, as who used them has it; with what was counted before.
UPDATE tool_examples x
SET count = u.count, calls = u.calls, callers = u.callers,
    first_seen_at = CASE WHEN x.source = 'use' THEN coalesce(u.first_at, x.first_seen_at) ELSE x.first_seen_at END,
    last_seen_at = CASE WHEN x.source = 'use' THEN coalesce(u.last_at, x.last_seen_at)
                        ELSE greatest(x.last_seen_at, u.last_at) END
FROM tool_examples b
CROSS JOIN LATERAL (
    SELECT coalesce(sum(c.count), 0) AS count, coalesce(sum(c.calls), 0) AS calls, count(*) AS callers,
           min(c.first_at) AS first_at, max(c.last_at) AS last_at
    FROM tool_example_callers c WHERE c.tenant_id = $1 AND c.example_id = b.id) AS u
WHERE b.tenant_id = $1 AND b.id = ANY($2::bigint[]) AND x.tenant_id = $1 AND x.id = b.id
RETURNING x.id, x.tool_id, x.source, x.state, x.calls, x.callers,
          extract(epoch FROM now() - x.last_seen_at)::float8 AS age_seconds,
          b.calls AS calls_before, b.callers AS callers_before

-- name: accounts_of_caller
-- Under what is counted what somebody said who goes by $2, with who that is. Key $3, or those of that name, bring whom they
-- act for. `is_exact`: it is said so that it can be nobody else.
WITH keys AS (
    SELECT id, person_id, owner IS NULL OR accepted_at IS NOT NULL AS is_accepted, $3::bigint IS NOT NULL AND id = $3 AS is_exact
    FROM api_keys WHERE tenant_id = $1 AND (id = $3 OR name = $2)
), known AS (
    SELECT DISTINCT c.account, split_part(c.account, ' ', 1) AS issuer,
           substr(c.account, strpos(c.account, ' ') + 1) AS subject
    FROM tool_example_callers c WHERE c.tenant_id = $1
    UNION
    SELECT issuer || ' ' || subject, issuer, subject FROM persons WHERE tenant_id = $1
)
SELECT 'key ' || id AS caller, 'key ' || id AS account, is_exact FROM keys
UNION
SELECT 'key ' || k.id, p.issuer || ' ' || p.subject, k.is_exact
FROM keys k JOIN persons p ON p.tenant_id = $1 AND p.id = k.person_id WHERE k.is_accepted
UNION
SELECT 'key ' || subject, account, true FROM known WHERE issuer = 'key' AND subject = $3::text
UNION
SELECT subject || ' of ' || issuer, account, subject || ' of ' || issuer = $2 FROM known
WHERE issuer <> 'key' AND $2 IN (subject, subject || ' of ' || issuer)
UNION
SELECT subject || ' of ' || issuer, issuer || ' ' || subject, false FROM persons
WHERE tenant_id = $1 AND lower(name) = lower($2) AND issuer <> 'key'

-- name: set_learning_cutoff
-- What was searched for up to $4, null: up to now, is not to be learnt any more: of tool $2, null: of any, said by account
-- $3, null: by anybody. $5 is now by the clock of who asks, which may be ahead.
INSERT INTO learning_cutoffs AS c (tenant_id, tool_id, account, cutoff)
VALUES ($1, coalesce($2::bigint, 0), coalesce($3::text, ''),
        coalesce($4::timestamptz, greatest(clock_timestamp(), $5::timestamptz)))
ON CONFLICT (tenant_id, tool_id, account) DO UPDATE SET cutoff = greatest(c.cutoff, excluded.cutoff)

-- name: forget_callers
-- That account $3 (null: anybody) has said what it has not said since $4 (null: now) of tool $2 (null: any).
DELETE FROM tool_example_callers c USING tool_examples x
WHERE c.tenant_id = $1 AND x.tenant_id = $1 AND x.id = c.example_id
  AND ($2::bigint IS NULL OR x.tool_id = $2) AND ($3::text IS NULL OR c.account = $3)
  AND ($4::timestamptz IS NULL OR c.last_at < $4)
RETURNING c.example_id, x.tool_id

-- name: forget_examples
-- Examples from use that nobody has said any more, of tool $2 (null: any).
DELETE FROM tool_examples x
WHERE x.tenant_id = $1 AND x.source = 'use' AND ($2::bigint IS NULL OR x.tool_id = $2)
  AND NOT EXISTS (SELECT FROM tool_example_callers c WHERE c.tenant_id = $1 AND c.example_id = x.id)
RETURNING x.id, x.tool_id

-- name: unsaid_example
-- Whether nobody has said an example, x, in its own words, as far as is known.
x.source = 'use' AND NOT EXISTS (SELECT FROM tool_example_callers c WHERE c.tenant_id = x.tenant_id AND c.example_id = x.id
                                   AND (c.text_key IS NULL OR c.text_key = x.text_key))

-- name: reword_examples
-- Those of examples $2 that nobody has said in their own words any more get those of who has said them first, where no other
-- example has these; they are to be embedded anew.
WITH wordings AS (
    SELECT DISTINCT ON (x.tool_id, c.text_key) x.id, c.text, c.text_key, c.first_at
    FROM tool_examples x JOIN tool_example_callers c ON c.tenant_id = x.tenant_id AND c.example_id = x.id
    WHERE x.tenant_id = $1 AND x.id = ANY($2::bigint[]) AND {{unsaid_example}}
      AND NOT EXISTS (SELECT FROM tool_examples o
                      WHERE o.tenant_id = $1 AND o.tool_id = x.tool_id AND o.text_key = c.text_key)
    ORDER BY x.tool_id, c.text_key, c.first_at, x.id
), chosen AS (
    SELECT DISTINCT ON (id) id, text, text_key FROM wordings ORDER BY id, first_at, text_key
), former AS (
    DELETE FROM tool_example_embeddings v USING chosen n WHERE v.tenant_id = $1 AND v.example_id = n.id
)
UPDATE tool_examples x SET text = n.text, text_key = n.text_key FROM chosen n WHERE x.tenant_id = $1 AND x.id = n.id

-- name: drop_unsaid_examples
-- Those of examples $2 that nobody has said in their own words any more.
DELETE FROM tool_examples x WHERE x.tenant_id = $1 AND x.id = ANY($2::bigint[]) AND {{unsaid_example}}
RETURNING x.id, x.tool_id

-- name: learning_counts
-- How many examples of each source and state a tenant's tools have, of how many tools, and how often they were used.
SELECT source, state, count(*) AS examples, count(DISTINCT tool_id) AS tools, coalesce(sum(calls), 0)::bigint AS calls,
       max(last_seen_at) AS last_seen_at
FROM tool_examples WHERE tenant_id = $1 GROUP BY source, state ORDER BY source, state

-- name: tools_raised
-- How many tools are ranked by what examples have made of them in space $2.
SELECT count(*) FROM learnt_embeddings WHERE tenant_id = $1 AND space_id = $2 AND ranking_embedding IS NOT NULL

-- name: move_examples
-- Tool $3 is what tool $2 was before it got another name: its examples are those of that one, but for what it has itself.
WITH moved AS (
    UPDATE tool_examples x SET tool_id = $3 WHERE x.tenant_id = $1 AND x.tool_id = $2
      AND NOT EXISTS (SELECT FROM tool_examples o WHERE o.tenant_id = $1 AND o.tool_id = $3 AND o.text_key = x.text_key)
    RETURNING x.id
)
SELECT count(*) FROM moved

-- name: learnt_tools
-- Those of tools $3 of which something is learnt in space $2: from how many examples, and what they were ranked by.
SELECT l.tool_id, l.examples, e.ranking_embedding
FROM learnt_embeddings l JOIN tool_embeddings e ON {{learnt_of_embedding}}
WHERE l.tenant_id = $1 AND l.space_id = $2 AND l.tool_id = ANY($3::bigint[])

-- name: observed_examples
-- Texts that led to calls in the last $3 days, with their vectors in space $2 and those of the tools that were called; the
-- latest first, $4 at most. `trusted`: the tool is as it was approved.
SELECT x.id, x.text, x.tool_id, v.embedding, e.ranking_embedding,
       t.approved_hash IS NOT DISTINCT FROM t.content_hash AS trusted
FROM tool_examples x
JOIN tools t ON t.tenant_id = x.tenant_id AND t.id = x.tool_id AND t.removed_at IS NULL
JOIN tool_embeddings e ON e.tenant_id = x.tenant_id AND e.tool_id = x.tool_id AND e.space_id = $2
JOIN tool_example_embeddings v ON v.tenant_id = x.tenant_id AND v.example_id = x.id AND v.space_id = $2
WHERE x.tenant_id = $1 AND x.source = 'use' AND x.state <> 'dismissed'
  AND x.last_seen_at >= now() - $3::integer * interval '1 day' AND e.ranking_embedding IS NOT NULL
ORDER BY x.last_seen_at DESC, x.id LIMIT $4

-- name: tool_names
-- What tools $2 are called.
SELECT id, exposed_name FROM tools WHERE tenant_id = $1 AND id = ANY($2::bigint[])

-- name: searches_of_tool
-- What was searched for since $3 and answered with tool $2, and what its searcher called within ten minutes: the tool,
-- something else, or nothing; most often asked first, $4 at most.
WITH searches AS (
    SELECT s.target AS query, s.at,
           (SELECT CASE WHEN bool_or(c.tool_id = $2) THEN 'this' WHEN count(*) > 0 THEN 'another' ELSE 'nothing' END
            FROM tool_calls c
            WHERE c.tenant_id = $1 AND c.kind = 'call' AND c.outcome = 'ok' AND c.tool_id IS NOT NULL
              AND c.key_id = s.key_id AND c.person IS NOT DISTINCT FROM s.person
              AND (c.key_id <> 0 OR c.key_name = s.key_name)
              AND c.at >= s.at AND c.at < s.at + interval '10 minutes') AS led_to
    FROM tool_calls s
    WHERE s.tenant_id = $1 AND s.kind = 'search' AND s.outcome = 'ok' AND s.at >= $3 AND $2 = ANY(s.found)
    ORDER BY s.at DESC LIMIT 1000
)
SELECT query, led_to, count(*) AS times, max(at) AS last_at FROM searches
WHERE query <> '' GROUP BY query, led_to ORDER BY times DESC, last_at DESC LIMIT $4

-- name: tools_to_expand
-- Tools, of any tenant, for which, as they are, no model has said yet what people may ask for, $1 at most.
SELECT t.tenant_id, t.id, t.exposed_name, t.name, t.title, t.description, t.input_schema, t.annotations,
       t.definition -> 'icons' AS icons, t.category, t.server_id, s.name AS server_name, t.content_hash,
       t.generated_name IS NOT NULL AS is_renamed
FROM tools t
JOIN servers s ON s.tenant_id = t.tenant_id AND s.id = t.server_id
LEFT JOIN tool_expansions x ON x.tenant_id = t.tenant_id AND x.tool_id = t.id AND x.content_hash = t.content_hash
WHERE t.removed_at IS NULL AND NOT t.quarantined AND x.tool_id IS NULL
ORDER BY t.id LIMIT $1

-- name: note_expansion
-- A model has been asked for tool $2 as it is.
INSERT INTO tool_expansions (tenant_id, tool_id, content_hash) VALUES ($1, $2, $3)
ON CONFLICT (tenant_id, tool_id) DO UPDATE SET content_hash = excluded.content_hash, made_at = now()

-- name: drop_model_examples
-- What a model has said of a tool before, but for what an admin has approved or taken away.
DELETE FROM tool_examples WHERE tenant_id = $1 AND tool_id = $2 AND source = 'llm' AND state = 'counted'

-- name: insert_model_example
-- What a model says, where nobody has said it yet and the tool has room.
INSERT INTO tool_examples (tenant_id, tool_id, text, text_key, source, state)
SELECT $1, $2, $3, $4, 'llm', 'counted'
WHERE (SELECT count(*) FROM tool_examples WHERE tenant_id = $1 AND tool_id = $2 AND state <> 'dismissed') < 50
ON CONFLICT (tenant_id, tool_id, text_key) DO NOTHING
