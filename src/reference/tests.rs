use super::*;

/// Values of tools and stores, with a word of the message on each.
const KNOWN: [(&str, &str); 66] = [
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
];

#[test]
fn ciphertext_and_references_are_named() {
    for (value, word) in KNOWN {
        let own = Reference::recognise(value).map(|own| own.to_string()).unwrap_or_default();
        assert!(own.contains(word) && own.contains(": rotate "), "{value}: {own:?}");
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
    ] {
        let own = Reference::recognise(value).unwrap().to_string();
        assert_eq!(own, format!("it is made of other variables: rotate {names}"), "{value}");
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
        "file9Lr2vTb7Yx2Zq9Ml5Ki",
        "pa$$w0rd{4}9Lr2vTb7Yx2Zq9Ml5Ki",
        "pa$(9Lr2vTb7)Yx2Zq9Ml5Ki",
        "pa`9Lr2vTb7`Yx2Zq9Ml5Ki",
        "pa{{9!Lr2}}vTb7Yx2Zq9Ml5Ki",
        "$2b$12$9Lr2vTb7Yx2Zq9Ml5KiWm3HjPs8Dn4Fg6",
        "postgres://app:vault:secret@db/app",
        "postgres://app:p$ss@db/app",
        "https://hooks.example.com/in/kH7vQ2mXw9LrT4nZ8yB1",
    ] {
        assert_eq!(Reference::recognise(value), None, "{value}");
    }
}

#[cfg(feature = "store")]
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
        let hex: String = bytes.iter().map(|own| format!("{own:02x}")).collect();
        let printable: String = bytes.iter().map(|own| char::from(own % 94 + 33)).collect();
        for own in [&base64, &base64url, &hex, &printable] {
            for lead in leads.iter().filter(|lead| **lead != "vault:" || own.len() > 40) {
                let own = format!("{lead}{own}");
                assert_eq!(Reference::recognise(&own), None, "{own}");
            }
        }
    }
}
