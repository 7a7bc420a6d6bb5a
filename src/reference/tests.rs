use super::*;

/// Values of tools and stores, with a word of the message on each.
const KNOWN: [(&str, &str); 159] = [
    (
        "encrypted:BDqDBibm4wsYqMpCjTQ6BsDHmMadg9K3dAt+Z9HPMfLEIRVz50hmLXPXRuDBXaJi/LwWYEV",
        "dotenvx",
    ),
    ("\"encrypted:BDqDBibm4wsYqMpCjTQ6BsDHmMadg9K3dAt+Z9HPMfLEIRVz50hmLXPXRuDB\"", "dotenvx"),
    ("ENC[AES256_GCM,data:abc,iv:def,tag:ghi,type:str]", "sops"),
    ("ENC[PKCS7,MIIBeQYJKoZIhvcNAQcDoIIBajCCAWYCAQAxggEhMIIBHQIBADAF]", "hiera-eyaml"),
    ("ENC[database_password]", "Datadog"),
    ("ENC(G6N718UuyPE5bHyWKyuLQSm02auQPUtm)", "Jasypt"),
    ("{cipher}FKSAJDFGYOS8F7GLHAKERGFHLSAJ", "Spring"),
    ("vault:v1:8SDd3WHDOjf7mq69CyCqYjBXAiQQAVZRkFM13ok481zoCmHnSeDX9vyf7w==", "transit"),
    ("$ANSIBLE_VAULT;1.1;AES256", "Ansible"),
    ("-----BEGIN AGE ENCRYPTED FILE-----\nYWdlLWVuY3J5cHRpb24ub3JnL3Yx", "age"),
    ("-----BEGIN PGP MESSAGE-----", "OpenPGP"),
    ("-----BEGIN PKCS7-----", "PKCS #7"),
    ("op://Production/PostgreSQL/url", "1Password"),
    ("op://Shared vault/JWT secret/section/password?attribute=otp", "1Password"),
    ("op://$APP_ENV/db/password", "1Password"),
    ("{{ op://app/db/password }}", "1Password"),
    ("postgres://app:{{ op://app/db/password }}@db/app", "1Password"),
    ("vault:secret/data/app#JWT_SECRET", "Vault"),
    ("vault:kv/app/jwt", "Vault"),
    (">>vault:secret/data/app#JWT_SECRET", "Vault"),
    ("vault:secret/data/app#${.KEY | urlquery}", "Vault"),
    ("${vault:secret/data/app#JWT_SECRET}", "Vault"),
    ("vault://secret/app#jwt", "Vault"),
    ("bao:secret/data/app#JWT_SECRET", "OpenBao"),
    ("ref+vault://secret/app#/jwt", "vals"),
    ("ref+awsssm://app/jwt?region=eu-west-1", "vals"),
    ("secretref+openbao://secret/app#/jwt", "vals"),
    ("postgres://app:ref+vault://secret/app#/password+@db/app", "vals"),
    ("arn:aws:secretsmanager:eu-west-1:123456789012:secret:app-AbCdEf", "AWS Secrets Manager"),
    ("arn:aws-us-gov:secretsmanager:us-gov-west-1:123456789012:secret:app", "AWS Secrets Manager"),
    ("arn:aws:ssm:eu-west-1:123456789012:parameter/app/jwt", "parameter store"),
    ("arn:aws:kms:eu-west-1:123456789012:key/1234abcd", "KMS"),
    ("aws-sm://prod/jwt#secret", "AWS Secrets Manager"),
    ("awssm://prod/jwt", "AWS Secrets Manager"),
    ("secretsmanager://prod/jwt", "AWS Secrets Manager"),
    ("ssm:///app/jwt", "parameter store"),
    ("${ssm:/app/jwt}", "parameter store"),
    ("{{resolve:secretsmanager:app:SecretString:jwt}}", "AWS Secrets Manager"),
    ("{{resolve:ssm-secure:/app/jwt:1}}", "parameter store"),
    ("projects/app/secrets/jwt/versions/latest", "Google"),
    ("projects/123/locations/europe-west1/secrets/jwt", "Google"),
    ("gcp:secretmanager:projects/app/secrets/jwt", "Google"),
    ("gcpsm://projects/app/secrets/jwt", "Google"),
    ("sm://app/jwt", "Google"),
    ("berglas://bucket/jwt", "Google"),
    ("@Microsoft.KeyVault(SecretUri=https://app.vault.azure.net/secrets/jwt/)", "Azure"),
    ("https://app.vault.azure.net/secrets/jwt", "Azure"),
    ("azure:keyvault:app/jwt", "Azure"),
    ("keyvault://app/jwt", "Azure"),
    ("doppler://app/prd/JWT_SECRET", "Doppler"),
    ("infisical://app/prod/JWT_SECRET", "Infisical"),
    ("bws://d34d4a5b-0f3c-4c8e-9a1e-b0d900f4d3c5", "Bitwarden"),
    ("akeyless:/app/jwt", "Akeyless"),
    ("keeper://3FMD-3V0xQ/field/password", "Keeper"),
    ("/run/secrets/jwt", "file"),
    ("/var/run/secrets/app/jwt", "file"),
    ("/run/credentials/app.service/jwt", "file"),
    ("${CREDENTIALS_DIRECTORY}/jwt", "file"),
    ("file:///run/secrets/jwt", "file"),
    ("file:/etc/app/jwt", "file"),
    ("$__file{/etc/secrets/jwt}", "file"),
    ("$(cat /run/secrets/jwt)", "command"),
    ("$(openssl rand -hex 64)", "command"),
    ("`cat /run/secrets/jwt`", "command"),
    ("{{ .Values.jwtSecret }}", "template"),
    ("${{ secrets.JWT_SECRET }}", "template"),
    ("ENC[KMS,AQICAHhAQICAHh]", "hiera-eyaml"),
    ("ENCRYPTED[5f1d0a9c8b7e6f!abcdef]", "Cirrus"),
    ("DEC(G6N718UuyPE5bHyWKyuLQSm02auQPUtm)", "Jasypt"),
    ("enc:v1:G6N718UuyPE5bHyWKyuLQSm02auQPUtm", "encryption tool"),
    ("secure:G6N718UuyPE5bHyWKyuLQSm02auQPUtm==", "encryption tool"),
    ("v1:k9ZGNm1bC4H2Kq8p:m5Qq3e2JkB3s2gk9ZGNm1bC4H2Kq8p==", "Pulumi"),
    ("JEFOU0lCTEVfVkFVTFQ7MS4xO0FFUzI1NgozMzYy", "Ansible"),
    ("!vault $ANSIBLE_VAULT;1.1;AES256 6638643965396463", "Ansible"),
    ("YWdlLWVuY3J5cHRpb24ub3JnL3YxCi0+IFgyNTUxOSB4", "age"),
    ("U2FsdGVkX1+vupppZksvRf5pq5g5XjFRlipRkwB0K1Y=", "OpenSSL"),
    ("OP://Production/PostgreSQL/url", "1Password"),
    ("postgres://app:op://app/db/password@db/app", "1Password"),
    ("ssm:/app/prod/jwt-secret/value", "parameter store"),
    ("ssm:app-prod-jwt-secret-parameter", "parameter store"),
    ("ssm-secure:/app/prod/jwt:1", "parameter store"),
    ("aws_ssm:/app/jwt", "parameter store"),
    ("aws:ssm:/app/jwt", "parameter store"),
    ("aws-parameterstore:/prod/jwt", "parameter store"),
    ("chamber:app/jwt", "parameter store"),
    ("secretref:jwt-secret-of-the-service", "platform"),
    ("secretRef:jwtSecret", "platform"),
    ("awssm:prod/jwt-secret", "AWS Secrets Manager"),
    ("awssm:jwt-secret-of-production", "AWS Secrets Manager"),
    ("aws-sm:prod/jwt-secret-of-production", "AWS Secrets Manager"),
    ("secretsmanager:prod/jwt:SecretString:key", "AWS Secrets Manager"),
    ("aws:secretsmanager:prod/jwt", "AWS Secrets Manager"),
    ("arn:aws:secretsmanager:eu-west-1:123456789012:secret:app-AbCdEf:jwt::", "AWS Secrets"),
    ("ARN:aws:secretsmanager:eu-west-1:123456789012:secret:app-AbCdEf", "AWS Secrets"),
    ("arn:aws:s3:::bucket/env/jwt", "AWS"),
    ("gcp-secret:projects/app/secrets/jwt", "Google"),
    ("gcp-secret:jwt-secret-of-production", "Google"),
    ("gcp-secret://projects/app/secrets/jwt", "Google"),
    ("gsm:jwt-secret-of-production", "Google"),
    ("gcp://projects/app/secrets/jwt", "Google"),
    ("projects/app/locations/eu/parameters/jwt/versions/1", "Google"),
    ("projects/app/locations/global/keyRings/a/cryptoKeys/b", "Google"),
    ("@Microsoft.KeyVault(VaultName=myvault;SecretName=mysecret)", "Azure"),
    ("@microsoft.keyvault(SecretUri=https://app.vault.azure.net/secrets/jwt/)", "Azure"),
    ("@Microsoft.AppConfiguration(Endpoint=https://app.azconfig.io; Key=jwt)", "Azure"),
    ("keyvaultref:https://app.vault.azure.net/secrets/jwt,identityref:system", "Azure"),
    ("https://app.managedhsm.azure.net/keys/jwt", "Azure"),
    ("keyvault:jwt-secret-of-production", "Azure"),
    ("azure://app/secrets/jwt", "Azure"),
    ("ocid1.vaultsecret.oc1.phx.amaaaaaa", "Oracle"),
    ("crn:v1:bluemix:public:secrets-manager:us-south:a/1:2:secret:3", "IBM"),
    ("bws:d34d4a5b-0f3c-4c8e-9a1e-b0d900f4d3c5", "Bitwarden"),
    ("bitwarden:app/jwt", "Bitwarden"),
    ("doppler:app/prd/JWT_SECRET", "Doppler"),
    ("infisical:app/prod/JWT_SECRET", "Infisical"),
    ("lastpass:app/jwt", "LastPass"),
    ("conjur:app/prod/jwt", "Conjur"),
    ("envchain:app/JWT_SECRET", "keyring"),
    ("k8s:secret/app/jwt/key", "Kubernetes"),
    ("consul:app/jwt", "Consul"),
    ("sops:secrets/app.yaml#jwt", "sops"),
    ("vault:app#jwt-secret", "Vault"),
    ("secret/data/app#jwt", "Vault"),
    ("kv:secret/data/app", "Vault"),
    ("REF+vault://secret/app", "vals"),
    ("ref://vault/secret", "store of secrets"),
    ("env:JWT_SECRET", "`JWT_SECRET`"),
    ("env://JWT_SECRET", "`JWT_SECRET`"),
    ("ENV:jwt_secret", "`jwt_secret`"),
    ("process.env.JWT_SECRET", "`JWT_SECRET`"),
    ("process.env['JWT_SECRET']", "`JWT_SECRET`"),
    ("os.environ[\"JWT_SECRET\"]", "`JWT_SECRET`"),
    ("os.getenv(\"JWT_SECRET\")", "`JWT_SECRET`"),
    ("%env(resolve:JWT_SECRET)%", "`JWT_SECRET`"),
    ("$env:JWT_SECRET", "`JWT_SECRET`"),
    ("$jwt_secret", "`jwt_secret`"),
    ("$(jwt_secret)", "`jwt_secret`"),
    ("$(jwtSecret)", "`jwtSecret`"),
    ("!env JWT_SECRET", "`JWT_SECRET`"),
    ("!var prod/jwt/secret", "template"),
    ("!var:default='x' prod/jwt/secret", "template"),
    ("!Ref JwtSecretParameter", "template"),
    ("!secret jwt_secret", "template"),
    ("{{ with secret \"kv/app\" }}{{ .Data.data.jwt }}{{ end }}", "template"),
    ("{% raw %}x{% endraw %}", "template"),
    ("${file(./secrets.json):jwt}", "template"),
    ("mysql://app:<%= password %>@db/app", "template"),
    ("postgres://app:<path:kv/data/app#password>@db/app", "template"),
    ("postgres://app:<password>@db/app", "template"),
    ("postgres://app:[YOUR-PASSWORD]@db/app", "template"),
    ("postgres://app:{{{ password }}}@db/app", "template"),
    ("./secrets/jwt.txt", "file"),
    ("~/secrets/jwt.txt", "file"),
    ("/etc/app/secrets/jwt.key", "file"),
    ("/secrets/jwt_secret", "file"),
    ("C:\\secrets\\jwt.txt", "file"),
    ("file:./secrets/jwt.txt", "file"),
    ("@/etc/app/jwt.key", "file"),
    ("cmd:pass show jwt-secret-of-production", "command"),
];

#[test]
fn ciphertext_and_references_are_named() {
    for (value, word) in KNOWN {
        let shown =
            Reference::recognise(value).map(|reference| reference.to_string()).unwrap_or_default();
        assert!(shown.contains(word) && shown.contains(": rotate "), "{value}: {shown:?}");
    }
}

#[test]
fn interpolation_names_the_variables_with_the_secret() {
    for (value, names) in [
        ("postgresql://${DB_USER}:${DB_PASS}@db/app", "`DB_PASS`"),
        ("postgres://$DB_USER:$DB_PASSWORD@$DB_HOST/app", "`DB_PASSWORD`"),
        ("postgres://$(DB_USER):$(DB_PASSWORD)@db/app", "`DB_PASSWORD`"),
        ("${JWT_SECRET:-none}", "`JWT_SECRET`"),
        ("${JWT_SECRET?unset}", "`JWT_SECRET`"),
        ("$JWT_SECRET", "`JWT_SECRET`"),
        ("${env:JWT_SECRET}", "`JWT_SECRET`"),
        ("${ONE}-${TWO}-${ONE}", "`ONE`, `TWO`"),
        ("postgres://app:${app.prd.DB_PASS}@db/app", "`app.prd.DB_PASS`"),
        ("mysql://app:%env(DB_PASS)%@db/app", "`DB_PASS`"),
        ("mysql://app:%DB_PASS%@db/app", "`DB_PASS`"),
        ("postgres://app:$db_pass@db/app", "`db_pass`"),
        // These may be passwords, which no message shows (V10).
        ("$UMMER2024XKCDPASS", "them"),
        ("postgres://app:$UMMER2024@db/app", "them"),
    ] {
        let shown = Reference::recognise(value).unwrap().to_string();
        assert_eq!(shown, format!("it is made of other variables: rotate {names}"), "{value}");
    }
}

/// A longer look takes time by the square of the length, whichever characters the value has.
#[test]
fn the_end_of_a_command_is_looked_for_within_a_bound() {
    for (text, bytes) in [("a", 4096), ("\u{e9}", 4096), ("\u{20ac}", 4095), ("a\u{1f511}", 4096)] {
        let long = text.repeat(5000);
        assert_eq!(expansion::start(&long).len(), bytes, "{text}");
        assert_eq!(expansion::start(text), text);
    }
}

#[test]
fn secrets_that_begin_alike_are_secrets() {
    for value in [
        "ref9Lr2vTb7Yx2Zq9Ml5KiWm3HjPs8Dn4Fg6",
        "ref+9Lr2vTb7Yx2Zq9Ml5KiWm3HjPs8Dn4Fg6",
        "ref+9Lr2://vTb7Yx2Zq9Ml5KiWm3HjPs8Dn4Fg6",
        "vault9Lr2vTb7Yx2Zq9Ml5KiWm3HjPs8Dn4Fg6",
        "vault:9Lr2vTb7Yx2Zq9Ml5KiWm3HjPs8Dn4Fg6",
        "vault:9Lr2vTb7Yx2Zq9/Ml5KiWm3HjPs8Dn4Fg6",
        "vault/9Lr2vTb7Yx2Zq9/Ml5KiWm3HjPs8Dn4Fg6",
        "encrypted9Lr2vTb7Yx2Zq9Ml5KiWm3HjPs8Dn4Fg6",
        "encrypted:!9Lr2vTb7Yx2Zq9Ml5KiWm3HjPs8Dn4Fg6",
        "encrypted_9Lr2vTb7Yx2Zq9Ml5KiWm3HjPs8Dn4Fg6",
        "ENC9Lr2vTb7Yx2Zq9Ml5KiWm3HjPs8Dn4Fg6",
        "ENC[9Lr2vTb7Yx2Zq9Ml5KiWm3HjPs8Dn4Fg6",
        "op//9Lr2vTb7Yx2Zq9Ml5Ki",
        "op:9Lr2vTb7Yx2Zq9Ml5Ki",
        "arn:aws9Lr2vTb7Yx2Zq9Ml5Ki",
        "sm9Lr2vTb7Yx2Zq9Ml5Ki//abc",
        "projects/9Lr2vTb7Yx2Zq9Ml5KiWm3HjPs8Dn4Fg6",
        "run/secrets9Lr2vTb7Yx2Zq9Ml5Ki",
        "/run9Lr2vTb7Yx2Zq9Ml5Ki/Wm3HjPs8Dn4Fg6",
        "consul:purple-monkey-dishwasher",
        "run: forest run away now",
        "file9Lr2vTb7Yx2Zq9Ml5Ki",
        "pa$$w0rd{4}9Lr2vTb7Yx2Zq9Ml5Ki",
        "pa$(9Lr2vTb7)Yx2Zq9Ml5Ki",
        "pa`9Lr2vTb7`Yx2Zq9Ml5Ki",
        "pa{{9!Lr2}}vTb7Yx2Zq9Ml5Ki",
        "$2b$12$9Lr2vTb7Yx2Zq9Ml5KiWm3HjPs8Dn4Fg6",
        "postgres://app:vault:secret@db/app",
        "postgres://app:p$ss@db/app",
        "https://hooks.example.com/in/kH7vQ2mXw9LrT4nZ8yB1",
        "postgres://app:p%23ss%24{x}@db:5432/app?sslmode=require",
        "postgres://app:%C3_X%21@db/app",
        "amqps://app:kH7vQ2mX@mq.example.com/vhost",
        "redis://:p$ss@cache:6379/0",
        "mongodb+srv://app:kH7vQ2mX@cluster.example.net/?retryWrites=true",
        "etcd://app:kH7vQ2mX@etcd:2379",
        "s3://bucket/backups",
        "/var/backups/nightly",
        "vault://app:kH7vQ2mX@vault:8200",
        "ssm:9Lr2vTb7Yx2Zq9Ml5KiWm3HjPs8Dn4Fg6",
        "gsm:0f1e2d3c4b5a69788796a5b4c3d2e1f0",
        "env:9Lr2vTb7Yx2Zq9Ml5Ki",
        "secretref:9Lr2vTb7Yx2Zq9Ml5KiWm3HjPs8",
        "enc:!9Lr2vTb7Yx2Zq9Ml5Ki",
        "v1:9Lr2vTb7Yx2Zq9Ml5KiWm3HjPs8Dn4Fg6",
        "!9Lr2vTb7 Yx2Zq9Ml5Ki",
        "$kH7vQ2mX",
        "/9Lr2vTb7Yx2/Zq9Ml5KiWm3HjPs8Dn4Fg6",
        "./9Lr2vTb7Yx2Zq9Ml5KiWm3HjPs8Dn4Fg6",
        "<kH7v$Q2mX>",
        "host=db user=app password=kH7v#Q2mX",
        "correct horse battery staple and some more of the same",
        "pass:hunter2hunter2",
    ] {
        assert_eq!(Reference::recognise(value), None, "{value}");
    }
}

#[test]
fn metadata_of_tools_is_known_by_name() {
    for (name, tool) in [
        ("DOTENV_PUBLIC_KEY", Some("dotenvx")),
        ("DOTENV_PUBLIC_KEY_PRODUCTION", Some("dotenvx")),
        ("sops_version", Some("sops")),
        ("sops_mac", Some("sops")),
        ("sops_age__list_0__map_recipient", Some("sops")),
        ("sops_unencrypted_suffix", Some("sops")),
        ("DOTENV_PUBLIC_KEYS", None),
        ("DOTENV_KEY", None),
        ("SOPS_AGE_KEY", None),
        ("sops_url", None),
    ] {
        assert_eq!(Reference::tool_of_metadata(name), tool, "{name}");
    }
}

/// Secrets as generators make them, also behind the beginning of a marker.
#[test]
fn random_secrets_are_secrets() {
    let mut random = fastrand::Rng::with_seed(7);
    let leads = ["", "encrypted", "vault", "vault:", "ENC", "ref+", "op", "op:", "/", "$", "sm"];
    for _ in 0..2000 {
        let bytes: Vec<u8> = (0..random.usize(16..64)).map(|_| random.u8(..)).collect();
        let base64 = base64_simd::STANDARD.encode_to_string(&bytes);
        let base64url = base64_simd::URL_SAFE_NO_PAD.encode_to_string(&bytes);
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let printable: String = bytes.iter().map(|byte| char::from(byte % 94 + 33)).collect();
        for secret in [&base64, &base64url, &hex, &printable] {
            for lead in leads.iter().filter(|lead| **lead != "vault:" || secret.len() > 40) {
                let value = format!("{lead}{secret}");
                assert_eq!(Reference::recognise(&value), None, "{value}");
            }
        }
    }
}
