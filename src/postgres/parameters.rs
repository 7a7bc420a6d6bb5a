//! The decision on each parameter that a known client reads, in one table.

/// What becomes of a parameter.
#[derive(Debug, Clone, Copy)]
pub(super) enum Use {
    Host,
    /// The address to connect to, beside or instead of a host.
    HostAddress,
    Port,
    Role,
    Password,
    Database,
    /// One schema, by its name.
    Schema,
    /// A list of schemas, as the server reads `search_path`.
    Path,
    SslMode,
    /// `ssl=true`, or the mode itself, as asyncpg has it.
    Ssl,
    SslAccept,
    SslRootCert,
    SslCert,
    SslKey,
    ApplicationName,
    Options,
    StatementCache,
    /// True turns the cache of prepared statements off.
    Pooler,
    /// False does.
    Prepares,
    /// Zero does.
    Threshold,
    /// A setting of the session.
    Setting,
    /// It tells another library how to connect, and changes nothing of what is reached.
    Dropped,
    /// Dropped, if it has one of these values; refused with any other.
    Only(&'static [&'static str], &'static str),
    Refused(&'static str),
}

const BINDING: &str = "asks for channel binding, which is not supported: remove it, and check the server by \
                       `sslmode=verify-full` instead";
const GSS: &str = "asks for GSSAPI, which is not supported: use a password or a client certificate";
const PROTECTED: &str =
    "names a password of a key file, which is not supported: name a key without a password";
const PKCS12: &str = "names a PKCS 12 file, which is not supported: name a certificate with \
                      `sslcert` and its key with `sslkey`, both as PEM";
const FILES: &str = "names a file that is not read: write its settings into the string";
const REVOKED: &str = "names a list of revoked certificates, which is not supported: remove it";
const VERSION: &str = "limits the version of TLS, which is not supported: 1.2 and 1.3 are used";
const COMPATIBLE: &str = "asks for other modes of TLS: write `sslmode=verify-full`";
const FACTORY: &str = "names a class of Java: write `sslmode` and `sslrootcert`";
const PLUGIN: &str = "names a class of Java, which is not loaded: remove it";
const DIRECT: &str = "names a class of Java: connect by the address of the server";
const OAUTH: &str = "asks for OAuth, which is not supported: use a password";
const MIGRATION: &str = "is of a tool for migrations: remove it";
const ENCODING: &str = "asks for another encoding: only UTF-8 is supported";
const WRITES: &str = "asks for a server that takes no writes: name the primary";

/// Every parameter that is known. Names are matched as they are written by the library that the
/// comment names.
const TABLE: &[(&str, Use)] = &[
    // libpq.
    ("host", Use::Host),
    ("hostaddr", Use::HostAddress),
    ("port", Use::Port),
    ("user", Use::Role),
    ("password", Use::Password),
    ("dbname", Use::Database),
    ("sslmode", Use::SslMode),
    ("sslrootcert", Use::SslRootCert),
    ("sslcert", Use::SslCert),
    ("sslkey", Use::SslKey),
    ("application_name", Use::ApplicationName),
    ("fallback_application_name", Use::Dropped),
    ("options", Use::Options),
    ("connect_timeout", Use::Dropped),
    ("keepalives", Use::Dropped),
    ("keepalives_idle", Use::Dropped),
    ("keepalives_interval", Use::Dropped),
    ("keepalives_count", Use::Dropped),
    ("tcp_user_timeout", Use::Dropped),
    ("load_balance_hosts", Use::Dropped),
    ("sslsni", Use::Only(&["1"], "turns server name indication off, which is not supported")),
    ("sslcompression", Use::Only(&["0"], "asks for compression, which is not supported")),
    ("sslnegotiation", Use::Only(&["postgres"], "asks for direct TLS, which is not supported")),
    (
        "sslcertmode",
        Use::Only(&["allow", "disable"], "requires a certificate, which is not supported"),
    ),
    ("channel_binding", Use::Only(&["disable", "prefer"], BINDING)),
    ("gssencmode", Use::Only(&["disable", "prefer"], GSS)),
    ("gssdelegation", Use::Only(&["0"], GSS)),
    ("krbsrvname", Use::Refused(GSS)),
    ("gsslib", Use::Refused(GSS)),
    ("require_auth", Use::Refused("limits how a password is shown, which is not supported")),
    ("requirepeer", Use::Refused("checks the owner of the socket, which is not supported")),
    ("requiressl", Use::Refused("is an old form: write `sslmode=require`")),
    ("sslpassword", Use::Refused(PROTECTED)),
    ("sslcrl", Use::Refused(REVOKED)),
    ("sslcrldir", Use::Refused(REVOKED)),
    ("ssl_min_protocol_version", Use::Only(&["TLSv1", "TLSv1.1", "TLSv1.2"], VERSION)),
    ("ssl_max_protocol_version", Use::Refused(VERSION)),
    ("service", Use::Refused(FILES)),
    ("servicefile", Use::Refused(FILES)),
    ("passfile", Use::Refused(FILES)),
    ("replication", Use::Only(&["false", "off", "no", "0"], "asks for replication")),
    (
        "client_encoding",
        Use::Only(&["UTF8", "UTF-8", "utf8", "utf-8", "unicode", "auto"], ENCODING),
    ),
    ("target_session_attrs", Use::Only(&["any", "read-write", "primary"], WRITES)),
    ("max_protocol_version", Use::Dropped),
    ("min_protocol_version", Use::Only(&["3.0"], "asks for another protocol: remove it")),
    ("sslkeylogfile", Use::Refused("asks for a log of keys, which is not written: remove it")),
    ("scram_client_key", Use::Refused("is a part of a verifier: write the password")),
    ("scram_server_key", Use::Refused("is a part of a verifier: write the password")),
    ("oauth_issuer", Use::Refused(OAUTH)),
    ("oauth_client_id", Use::Refused(OAUTH)),
    ("oauth_client_secret", Use::Refused(OAUTH)),
    ("oauth_scope", Use::Refused(OAUTH)),
    // sqlx.
    ("ssl-mode", Use::SslMode),
    ("ssl-root-cert", Use::SslRootCert),
    ("ssl-ca", Use::SslRootCert),
    ("ssl-cert", Use::SslCert),
    ("ssl-key", Use::SslKey),
    ("statement-cache-capacity", Use::StatementCache),
    // Prisma.
    ("schema", Use::Schema),
    ("sslaccept", Use::SslAccept),
    ("sslidentity", Use::Refused(PKCS12)),
    ("connection_limit", Use::Dropped),
    ("pool_timeout", Use::Dropped),
    ("socket_timeout", Use::Dropped),
    ("max_idle_connection_lifetime", Use::Dropped),
    ("max_connection_lifetime", Use::Dropped),
    ("single_use_connections", Use::Dropped),
    ("statement_cache_size", Use::StatementCache),
    ("pgbouncer", Use::Pooler),
    // Vercel and Supabase write them.
    ("supa", Use::Dropped),
    ("workaround", Use::Dropped),
    // node-postgres, postgres.js, Drizzle.
    ("db", Use::Database),
    ("ssl", Use::Ssl),
    ("uselibpqcompat", Use::Only(&["true"], COMPATIBLE)),
    ("encoding", Use::Only(&["UTF8", "UTF-8", "utf8", "utf-8", "unicode"], ENCODING)),
    ("max", Use::Dropped),
    ("min", Use::Dropped),
    ("idle_timeout", Use::Dropped),
    ("max_lifetime", Use::Dropped),
    ("query_timeout", Use::Dropped),
    ("connectionTimeoutMillis", Use::Dropped),
    ("idleTimeoutMillis", Use::Dropped),
    ("keepAlive", Use::Dropped),
    ("keepAliveInitialDelayMillis", Use::Dropped),
    ("keep_alive", Use::Dropped),
    ("allowExitOnIdle", Use::Dropped),
    ("maxUses", Use::Dropped),
    ("maxLifetimeSeconds", Use::Dropped),
    ("binary", Use::Dropped),
    ("backoff", Use::Dropped),
    ("fetch_types", Use::Dropped),
    ("prepare", Use::Prepares),
    // SQLAlchemy, psycopg, asyncpg, pg8000, Django.
    ("pool_size", Use::Dropped),
    ("max_overflow", Use::Dropped),
    ("pool_recycle", Use::Dropped),
    ("pool_pre_ping", Use::Dropped),
    ("command_timeout", Use::Dropped),
    ("async_fallback", Use::Dropped),
    ("conn_max_age", Use::Dropped),
    ("conn_health_checks", Use::Dropped),
    ("prepared_statement_cache_size", Use::StatementCache),
    ("pool_use_lifo", Use::Dropped),
    ("poolclass", Use::Dropped),
    ("pool_min_size", Use::Dropped),
    ("pool_max_size", Use::Dropped),
    ("min_size", Use::Dropped),
    ("max_size", Use::Dropped),
    ("executemany_mode", Use::Dropped),
    ("max_cached_statement_lifetime", Use::Dropped),
    ("max_cacheable_statement_size", Use::Dropped),
    ("prepared_statement_name_func", Use::Dropped),
    ("direct_tls", Use::Only(&["false", "0"], "asks for direct TLS, which is not supported")),
    ("ssl_require", Use::Ssl),
    ("CONN_MAX_AGE", Use::Dropped),
    ("CONN_HEALTH_CHECKS", Use::Dropped),
    ("ATOMIC_REQUESTS", Use::Dropped),
    ("AUTOCOMMIT", Use::Dropped),
    ("DISABLE_SERVER_SIDE_CURSORS", Use::Dropped),
    ("disable_server_side_cursors", Use::Dropped),
    // Doctrine and Laravel.
    ("serverVersion", Use::Dropped),
    ("charset", Use::Only(&["UTF8", "UTF-8", "utf8", "utf-8"], ENCODING)),
    // Rails and Ecto.
    ("pool", Use::Dropped),
    ("timeout", Use::Dropped),
    ("checkout_timeout", Use::Dropped),
    ("reaping_frequency", Use::Dropped),
    ("queue_target", Use::Dropped),
    ("queue_interval", Use::Dropped),
    ("adapter", Use::Dropped),
    ("advisory_locks", Use::Dropped),
    ("insert_returning", Use::Dropped),
    ("read_timeout", Use::Dropped),
    ("statement_limit", Use::StatementCache),
    ("schema_search_path", Use::Path),
    ("prepared_statements", Use::Prepares),
    // pgx, and pools of Rust.
    ("search_path", Use::Path),
    ("pool_max_conns", Use::Dropped),
    ("pool_min_conns", Use::Dropped),
    ("pool_min_idle_conns", Use::Dropped),
    ("pool_max_conn_lifetime", Use::Dropped),
    ("pool_max_conn_lifetime_jitter", Use::Dropped),
    ("pool_max_conn_idle_time", Use::Dropped),
    ("pool_health_check_period", Use::Dropped),
    ("statement_cache_capacity", Use::StatementCache),
    ("description_cache_capacity", Use::Dropped),
    ("default_query_exec_mode", Use::Dropped),
    ("prefer_simple_protocol", Use::Dropped),
    ("statement_cache_mode", Use::Dropped),
    ("min_read_buffer_size", Use::Dropped),
    ("krbspn", Use::Refused(GSS)),
    (
        "sslinline",
        Use::Only(&["false", "0"], "asks for certificates in the URL: write them into files"),
    ),
    ("binary_parameters", Use::Dropped),
    ("disable_prepared_binary_result", Use::Dropped),
    ("x-migrations-table", Use::Refused(MIGRATION)),
    ("x-migrations-table-quoted", Use::Refused(MIGRATION)),
    ("x-multi-statement", Use::Refused(MIGRATION)),
    ("x-statement-timeout", Use::Refused(MIGRATION)),
    ("min_pool_size", Use::Dropped),
    ("max_pool_size", Use::Dropped),
    ("max_connections", Use::Dropped),
    ("min_connections", Use::Dropped),
    // JDBC, HikariCP.
    ("currentSchema", Use::Path),
    ("ApplicationName", Use::ApplicationName),
    ("loginTimeout", Use::Dropped),
    ("connectTimeout", Use::Dropped),
    ("socketTimeout", Use::Dropped),
    ("cancelSignalTimeout", Use::Dropped),
    ("tcpKeepAlive", Use::Dropped),
    ("tcpNoDelay", Use::Dropped),
    ("prepareThreshold", Use::Threshold),
    ("preparedStatementCacheQueries", Use::Dropped),
    ("preparedStatementCacheSizeMiB", Use::Dropped),
    ("preferQueryMode", Use::Dropped),
    ("binaryTransfer", Use::Dropped),
    ("reWriteBatchedInserts", Use::Dropped),
    ("defaultRowFetchSize", Use::Dropped),
    ("stringtype", Use::Dropped),
    ("loadBalanceHosts", Use::Dropped),
    ("logServerErrorDetail", Use::Dropped),
    ("assumeMinServerVersion", Use::Dropped),
    ("maximumPoolSize", Use::Dropped),
    ("targetServerType", Use::Only(&["any", "primary", "master"], WRITES)),
    ("readOnly", Use::Only(&["false"], WRITES)),
    ("sslfactory", Use::Refused(FACTORY)),
    ("sslfactoryarg", Use::Refused(FACTORY)),
    ("sslhostnameverifier", Use::Refused(FACTORY)),
    ("sslpasswordcallback", Use::Refused(PROTECTED)),
    ("sslResponseTimeout", Use::Dropped),
    ("socketFactory", Use::Refused(DIRECT)),
    ("socketFactoryArg", Use::Refused(DIRECT)),
    ("cloudSqlInstance", Use::Refused(DIRECT)),
    ("authenticationPluginClassName", Use::Refused(PLUGIN)),
    ("xmlFactoryFactory", Use::Refused(PLUGIN)),
    ("localSocketAddress", Use::Refused("names an address of the client: remove it")),
    ("channelBinding", Use::Only(&["disable", "prefer"], BINDING)),
    ("requireAuth", Use::Refused("limits how a password is shown, which is not supported")),
    ("gssEncMode", Use::Only(&["disable", "allow", "prefer"], GSS)),
    ("gssResponseTimeout", Use::Dropped),
    ("kerberosServerName", Use::Refused(GSS)),
    ("jaasApplicationName", Use::Refused(GSS)),
    ("jaasLogin", Use::Refused(GSS)),
    ("useSpnego", Use::Only(&["false"], GSS)),
    ("sspiServiceClass", Use::Refused(GSS)),
    ("hostRecheckSeconds", Use::Dropped),
    ("readOnlyMode", Use::Dropped),
    ("sendBufferSize", Use::Dropped),
    ("receiveBufferSize", Use::Dropped),
    ("maxSendBufferSize", Use::Dropped),
    ("maxResultBuffer", Use::Dropped),
    ("adaptiveFetch", Use::Dropped),
    ("adaptiveFetchMinimum", Use::Dropped),
    ("adaptiveFetchMaximum", Use::Dropped),
    ("databaseMetadataCacheFields", Use::Dropped),
    ("databaseMetadataCacheFieldsMiB", Use::Dropped),
    ("binaryTransferEnable", Use::Dropped),
    ("binaryTransferDisable", Use::Dropped),
    ("autosave", Use::Dropped),
    ("cleanupSavepoints", Use::Dropped),
    ("logUnclosedConnections", Use::Dropped),
    ("loggerLevel", Use::Dropped),
    ("loggerFile", Use::Dropped),
    ("allowEncodingChanges", Use::Dropped),
    ("disableColumnSanitiser", Use::Dropped),
    ("escapeSyntaxCallMode", Use::Dropped),
    ("hideUnprivilegedObjects", Use::Dropped),
    ("quoteReturningIdentifiers", Use::Dropped),
    ("groupStartupParameters", Use::Dropped),
    ("unknownLength", Use::Dropped),
    ("protocolVersion", Use::Dropped),
    // Settings of a session.
    ("statement_timeout", Use::Setting),
    ("lock_timeout", Use::Setting),
    ("idle_in_transaction_session_timeout", Use::Setting),
    ("timezone", Use::Setting),
    ("TimeZone", Use::Setting),
];

/// The decision on a parameter, with its name. Names are case-sensitive, as in the clients.
pub(super) fn find(name: &str) -> Option<(&'static str, Use)> {
    TABLE.iter().find(|(known, _)| *known == name).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_parameter_has_two_decisions() {
        let names: std::collections::BTreeSet<_> = TABLE.iter().map(|(name, _)| name).collect();
        assert_eq!(names.len(), TABLE.len());
    }

    /// The list that `PQconndefaults` of libpq 15 gives, and what 16, 17 and 18 added.
    #[test]
    fn every_parameter_of_libpq_has_a_decision() {
        for name in "service user password passfile channel_binding connect_timeout dbname host \
                     hostaddr port client_encoding options application_name \
                     fallback_application_name keepalives keepalives_idle keepalives_interval \
                     keepalives_count tcp_user_timeout sslmode sslcompression sslcert sslkey \
                     sslpassword sslrootcert sslcrl sslcrldir sslsni requirepeer \
                     ssl_min_protocol_version ssl_max_protocol_version gssencmode krbsrvname gsslib \
                     replication target_session_attrs require_auth sslcertmode gssdelegation \
                     load_balance_hosts sslnegotiation min_protocol_version max_protocol_version \
                     servicefile sslkeylogfile scram_client_key scram_server_key oauth_issuer \
                     oauth_client_id oauth_client_secret oauth_scope"
            .split_whitespace()
        {
            assert!(find(name).is_some(), "{name}");
        }
    }
}
