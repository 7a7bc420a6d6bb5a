//! Addresses of secrets in stores, and paths of files.

use zeroize::Zeroizing;

use super::words::{is_locator, is_mixed, is_named};

const AWS: &str = "AWS Secrets Manager";
const AWS_SSM: &str = "the AWS parameter store";
const GOOGLE: &str = "Google Secret Manager";
const AZURE: &str = "Azure Key Vault";

/// The store in which `value` names a secret.
pub(super) fn store_of(value: &str) -> Option<&'static str> {
    let value = value.strip_prefix(">>").unwrap_or(value);
    let by_scheme = || {
        let (head, rest) = value.split_once(':')?;
        match rest.strip_prefix("//") {
            Some(rest) => store_of_scheme(head).filter(|_| is_locator(rest) && !has_password(rest)),
            None => store_of_path(head, rest).or_else(|| store_of_words(head, rest)),
        }
    };
    by_scheme().or_else(|| store_of_resource(value)).or_else(|| store_within(value))
}

/// Returns `true` if `rest` of a URL has a user and a password: it holds a secret itself.
fn has_password(rest: &str) -> bool {
    let authority = rest.split('/').next().unwrap_or_default();
    authority.rsplit_once('@').is_some_and(|(user, _)| user.contains(':'))
}

/// The store whose references begin with `scheme://`, or with the same word and a colon.
fn store_of_scheme(scheme: &str) -> Option<&'static str> {
    let scheme = (scheme.len() < 32).then_some(scheme)?;
    let is_part = |character: &char| !"-_+. ".contains(*character);
    let scheme =
        map_characters(scheme, |character| Some(character.to_ascii_lowercase()).filter(is_part));
    let scheme = scheme.trim_start_matches('@');
    Some(match scheme {
        "op" | "onepassword" | "1password" | "onepasswordconnect" | "opconnect" => "1Password",
        "vault" | "hashivault" | "hcvault" | "hashicorpvault" | "vaultkv" | "vaultkv2" | "kv"
        | "vaultsecret" => "Vault",
        "bao" | "openbao" => "OpenBao",
        "awssm" | "awssec" | "awssecret" | "awssecrets" | "awssecretmanager"
        | "awssecretsmanager" | "secretsmanager" | "asm" | "awssecretname" => AWS,
        "ssm" | "ssmsecure" | "awsssm" | "awsps" | "awsparamstore" | "awsparameter"
        | "awsparameterstore" | "awsssmparameter" | "paramstore" | "parameterstore"
        | "ssmparameter" | "chamber" => AWS_SSM,
        "awskms" => "AWS KMS",
        "aws" => "AWS",
        "sm"
        | "gsm"
        | "gcpsm"
        | "gcpsecret"
        | "gcpsecrets"
        | "gcpsecretmanager"
        | "gcpsecretsmanager"
        | "gsecret"
        | "googlesecret"
        | "googlesecretmanager"
        | "googlesecretsmanager"
        | "secretmanager"
        | "berglas" => GOOGLE,
        "gcpkms" | "gkms" => "Google Cloud KMS",
        "gcp" => "Google Cloud",
        "akv"
        | "akvs"
        | "azkv"
        | "keyvault"
        | "keyvaultref"
        | "azurekv"
        | "azurekeyvault"
        | "azurekeyvaultsecret" => AZURE,
        "azure" => "Azure",
        "secretref" => "a store of the platform",
        "doppler" => "Doppler",
        "infisical" => "Infisical",
        "bws" | "bw" | "bitwarden" | "bitwardensm" => "Bitwarden",
        "akeyless" => "Akeyless",
        "conjur" | "cyberark" => "Conjur",
        "keeper" | "ksm" => "Keeper",
        "dl" | "dashlane" => "Dashlane",
        "lastpass" | "lpass" => "LastPass",
        "pass" | "protonpass" => "Proton Pass",
        "gopass" => "gopass",
        "dsv" | "delinea" | "secretserver" | "tss" => "Delinea",
        "credstash" => "credstash",
        "sops" => "sops",
        "secrets" | "secret" | "secretstore" | "teller" | "ref" => "a store of secrets",
        "keyring" | "keychain" | "envchain" | "systemkeychain" => "a keyring",
        "pulumi" => "Pulumi",
        "consul" => "Consul",
        "k8s" | "kubernetes" | "kube" | "k8ssecret" | "secretkeyref" => "Kubernetes",
        "ibmsm" => "IBM Cloud",
        "oci" | "ocivault" => "Oracle Cloud",
        _ => return None,
    })
}

/// The store of a reference with a colon and a name of words: `awssm:prod/jwt`.
fn store_of_words(head: &str, rest: &str) -> Option<&'static str> {
    // These are schemes of URLs alone, or a secret may be behind them: `pass:hunter2`.
    const OTHERS: [&str; 5] = ["op", "sm", "bw", "dl", "kube"];
    const WORDS: [&str; 12] = [
        "kv",
        "ref",
        "pass",
        "secret",
        "secrets",
        "aws",
        "azure",
        "gcp",
        "consul",
        "keeper",
        "doppler",
        "bitwarden",
    ];
    let is_of = |words: &[&str]| words.iter().any(|word| head.eq_ignore_ascii_case(word));
    let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
    let is_part = |character: char| character.is_alphanumeric() || "/_-.:#@,~ ".contains(character);
    // A secret may begin alike: a path has names that people gave.
    let is_words = |text: &str, marks: [char; 2]| {
        is_named(&map_characters(text, |character| {
            Some(if marks.contains(&character) { ' ' } else { character })
        }))
    };
    let is_path = place.chars().all(is_part) && is_words(place, [',', '~']);
    let is_reference = is_path && !is_of(&OTHERS) && (!is_of(&WORDS) || place.contains('/'));
    let is_query = query.is_empty() || is_words(query, ['=', '&']);
    store_of_scheme(head).filter(|_| is_reference && is_query)
}

/// A copy of `text`, which is wiped. With its room from the start: growing would leave parts behind.
fn map_characters(text: &str, each: impl FnMut(char) -> Option<char>) -> Zeroizing<String> {
    let mut copy = Zeroizing::new(String::with_capacity(text.len()));
    copy.extend(text.chars().filter_map(each));
    copy
}

/// The store of a reference with a colon and a path: `vault:secret/data/app#JWT_SECRET`.
fn store_of_path(head: &str, rest: &str) -> Option<&'static str> {
    let (path, key) = rest.split_once('#').unwrap_or((rest, ""));
    let is_part =
        |character: char| character.is_alphanumeric() || "/_-.${}| \"'#@+:".contains(character);
    let is_deep = path.trim_matches('/').contains('/');
    // A secret may begin alike: a path has names that people gave.
    let is_path = is_deep && rest.chars().all(is_part) && !path.split('/').any(is_mixed);
    let is_path = is_path && (key.is_empty() || !is_mixed(key) || key.len() < 32);
    match head {
        "vault" if is_path => Some("Vault"),
        "bao" if is_path => Some("OpenBao"),
        "akeyless" if is_path => Some("Akeyless"),
        "infisical" if is_path => Some("Infisical"),
        "gcp" if rest.starts_with("secretmanager:") => Some(GOOGLE),
        "azure" if rest.starts_with("keyvault:") => Some(AZURE),
        "aws" if rest.starts_with("secretsmanager:") => Some(AWS),
        "aws" if rest.starts_with("ssm:") => Some(AWS_SSM),
        _ => None,
    }
}

/// The store of the name of a resource, as its cloud writes it.
fn store_of_resource(value: &str) -> Option<&'static str> {
    let lower = Zeroizing::new(value.to_ascii_lowercase());
    if let Some(rest) = lower.strip_prefix("arn:aws") {
        let mut parts = rest.split(':').skip(1);
        let (service, is_whole) = (parts.next()?, parts.count() > 2);
        return is_whole.then_some(match service {
            "secretsmanager" => AWS,
            "ssm" => AWS_SSM,
            "kms" => "AWS KMS",
            _ => "AWS",
        });
    }
    if lower.starts_with("@microsoft.keyvault(") && lower.ends_with(')') {
        return Some(AZURE);
    }
    if lower.starts_with("@microsoft.appconfiguration(") && lower.ends_with(')') {
        return Some("Azure App Configuration");
    }
    if lower.starts_with("ocid1.") && lower.matches('.').count() > 3 {
        return Some("Oracle Cloud");
    }
    if lower.starts_with("crn:v1:") && lower.matches(':').count() > 6 {
        return Some("IBM Cloud");
    }
    if is_google_name(value) {
        return Some(GOOGLE);
    }
    // The path of an engine of the second version.
    if ["secret/data/", "kv/data/"].iter().any(|start| value.starts_with(start)) && is_named(value)
    {
        return Some("Vault");
    }
    let (host, path) = lower.strip_prefix("https://")?.split_once('/')?;
    let is_of = |ends: &[&str]| ends.iter().any(|end| host.ends_with(end));
    let is_kept =
        ["secrets/", "keys/", "certificates/"].iter().any(|start| path.starts_with(start));
    let clouds = [
        ".vault.azure.net",
        ".vault.azure.cn",
        ".vault.usgovcloudapi.net",
        ".managedhsm.azure.net",
    ];
    if is_kept && is_of(&clouds) {
        return Some(AZURE);
    }
    (host == "secretmanager.googleapis.com").then_some(GOOGLE)
}

/// The store of a reference that may be a part of the value: of vals, and of 1Password.
fn store_within(value: &str) -> Option<&'static str> {
    let is_of_vals = |rest: &str| {
        rest.split_once("://").is_some_and(|(kind, rest)| {
            let is_kind = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
            kind.len() > 1 && kind.bytes().all(is_kind) && !rest.is_empty()
        })
    };
    if ["ref+", "REF+"].iter().any(|start| value.split(start).skip(1).any(is_of_vals)) {
        return Some("a store that vals reads");
    }
    let is_of_op = |(place, _): (usize, &str)| {
        let before = value[..place].chars().next_back();
        let path = &value[place + 5..];
        before.is_none_or(|character| !character.is_alphanumeric()) && path.split('/').count() > 2
    };
    (value.contains("://") && value.match_indices("op://").any(is_of_op)).then_some("1Password")
}

/// Returns `true` for `projects/app/secrets/jwt/versions/1`.
fn is_google_name(value: &str) -> bool {
    const KINDS: [&str; 4] = ["secrets", "parameters", "keyRings", "cryptoKeys"];
    let value = value
        .strip_prefix("//")
        .map_or(value, |rest| rest.split_once(".googleapis.com/").map_or(value, |(_, path)| path));
    let parts: Vec<_> = value.split('/').collect();
    let is_whole = parts.iter().all(|part| !part.is_empty()) && parts.len() <= 10;
    let place = parts.iter().position(|part| KINDS.contains(part));
    is_whole
        && parts[0] == "projects"
        && place.is_some_and(|place| place > 1 && place + 1 < parts.len())
}

/// Returns `true` for a path of a file, alone or as a URL.
pub(super) fn is_file(value: &str) -> bool {
    const FOLDERS: [&str; 9] = [
        "/run/secrets/",
        "/var/run/secrets/",
        "/run/credentials/",
        "/vault/secrets/",
        "/mnt/secrets-store/",
        "/mnt/secrets/",
        "/etc/secrets/",
        "$CREDENTIALS_DIRECTORY/",
        "${CREDENTIALS_DIRECTORY}/",
    ];
    let value = value.strip_prefix('@').unwrap_or(value);
    let rest = FOLDERS.iter().find_map(|folder| value.strip_prefix(folder));
    let rest = rest.or_else(|| value.strip_prefix("file:/"));
    let is_path = |path: &str| !path.trim_matches('/').is_empty() && is_locator(path);
    let braces = ["$__file{", "$__vault{", "$__env{"];
    rest.is_some_and(is_path)
        || is_path_of_words(value)
        || braces.iter().any(|start| value.starts_with(start) && value.ends_with('}'))
}

/// Returns `true` for a path of a secret, in which people gave every name: `/etc/app/jwt.key`. Base64
/// may begin with `/`, and has no such parts. Another path, such as that of a backup, is no reference.
fn is_path_of_words(value: &str) -> bool {
    if let Some(rest) = value.strip_prefix("file:") {
        return is_named(rest) && rest.contains(['/', '.']);
    }
    let windows = || {
        let (drive, rest) = value.split_once(":\\")?;
        let is_drive = drive.len() == 1 && drive.bytes().all(|byte| byte.is_ascii_alphabetic());
        is_drive.then(|| Zeroizing::new(rest.replace('\\', "/")))
    };
    let starts = ["./", "../", "~/", "$HOME/", "${HOME}/", "%APPDATA%/"];
    let relative = || starts.iter().find_map(|start| value.strip_prefix(start));
    let absolute = || value.strip_prefix('/').filter(|path| path.contains('/'));
    let is_part = |part: &str| part.len() > 1 && !part.contains([':', '@', '#', ' ']);
    let is_of_words = |rest: &str| {
        is_named(rest) && rest.split('/').all(is_part) && rest.split(SEPARATORS).any(is_of_secret)
    };
    windows().is_some_and(|path| is_of_words(&path))
        || relative().or_else(absolute).is_some_and(is_of_words)
}

const SEPARATORS: [char; 4] = ['/', '-', '_', '.'];

/// Returns `true` for a word in the path of a secret, or the ending of such a file.
fn is_of_secret(word: &str) -> bool {
    const WORDS: [&str; 22] = [
        "secret",
        "secrets",
        "key",
        "keys",
        "token",
        "tokens",
        "password",
        "passwd",
        "passphrase",
        "credential",
        "credentials",
        "jwt",
        "private",
        "cert",
        "certs",
        "pem",
        "crt",
        "txt",
        "p12",
        "pfx",
        "json",
        "env",
    ];
    WORDS.iter().any(|known| word.eq_ignore_ascii_case(known))
}
