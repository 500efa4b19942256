-- How far the search cluster follows the catalogue, as the process that writes to it says it.
CREATE TABLE feed_reports (
    is_only boolean PRIMARY KEY DEFAULT true CHECK (is_only),
    tenants_behind integer NOT NULL,
    seconds double precision NOT NULL,
    failure text NOT NULL,
    written bigint NOT NULL,
    reported_at timestamptz NOT NULL DEFAULT now()
);
