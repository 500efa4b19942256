-- What a tenant owns is unique within its tenant alone, so that tables can be divided by tenant: ids come from one sequence
-- all the same, and every statement names the tenant. The hash of a key stays unique by itself, for it finds its tenant.

ALTER TABLE servers DROP CONSTRAINT servers_id_key;
ALTER TABLE tools DROP CONSTRAINT tools_id_key;
ALTER TABLE roles DROP CONSTRAINT roles_id_key;
ALTER TABLE role_rules DROP CONSTRAINT role_rules_id_key;
ALTER TABLE api_keys DROP CONSTRAINT api_keys_id_key;
