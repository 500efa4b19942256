-- A server may be starting for long, as one that is installed first does; what it says meanwhile is shown.

ALTER TABLE servers
    DROP CONSTRAINT servers_health_check,
    ADD CONSTRAINT servers_health_check CHECK
        (health IN ('idle', 'connecting', 'starting', 'connected', 'failing', 'left_alone')),
    ADD COLUMN startup_line text;
