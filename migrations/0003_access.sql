-- What a key may use up, and profiles: named selections with an endpoint of their own.

ALTER TABLE api_keys
    ADD COLUMN note text NOT NULL DEFAULT '',
    ADD COLUMN requests_per_minute integer CHECK (requests_per_minute > 0),
    ADD COLUMN concurrent_calls integer CHECK (concurrent_calls > 0),
    ADD COLUMN calls_per_day integer CHECK (calls_per_day > 0);
