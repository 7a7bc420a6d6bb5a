CREATE ROLE app_owner NOLOGIN;
CREATE ROLE app_a LOGIN IN ROLE app_owner;
CREATE ROLE app_b LOGIN IN ROLE app_owner;
-- Every session of either starts as the owner, so that whatever it creates belongs to the owner.
ALTER ROLE app_a SET role = 'app_owner';
ALTER ROLE app_b SET role = 'app_owner';
GRANT USAGE, CREATE ON SCHEMA public TO app_owner;
-- For a session that leaves the role (SET ROLE NONE): what it creates, the owner may use.
ALTER DEFAULT PRIVILEGES FOR ROLE app_a, app_b GRANT ALL ON TABLES TO app_owner;
ALTER DEFAULT PRIVILEGES FOR ROLE app_a, app_b GRANT ALL ON SEQUENCES TO app_owner;
