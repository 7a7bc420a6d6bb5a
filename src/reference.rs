//! Values that are not a secret themselves: ciphertext of a tool, or a reference to a secret in
//! another place.
//!
//! It guarantees: a value is recognised by a marker and by the form of what follows it. No value in
//! hexadecimal digits, base64 or base64url is recognised, except a path such as `/run/secrets/jwt`.
//!
//! It does not guarantee that every tool is known. A value of an unknown tool counts as a secret.

use std::fmt;

/// A value that is not a secret itself, with the tool or the place that has the secret.
///
/// ```
/// use dualkey::Reference;
///
/// let own = Reference::recognise("op://Production/PostgreSQL/password").unwrap();
/// assert_eq!(own, Reference::Address { store: "1Password" });
/// assert_eq!(own.to_string(), "this is a reference to 1Password: rotate the secret there");
///
/// let own = Reference::recognise("postgres://${DB_USER}:${DB_PASS}@db/app").unwrap();
/// assert_eq!(own.to_string(), "it is made of other variables: rotate `DB_PASS`");
///
/// assert_eq!(Reference::recognise("yZ8mPq3nR7tV2xC5bN9kL4jH6gF1dS0aQwErTyUiOp1="), None);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reference {
    /// Ciphertext, which a tool decrypts before the service starts.
    Ciphertext {
        /// The tool.
        tool: &'static str,
    },
    /// The address of a secret in a store.
    Address {
        /// The store.
        store: &'static str,
    },
    /// The path of a file with the secret.
    File,
    /// A command of a shell, which prints the secret.
    Command,
    /// A template, which another program fills in.
    Template,
    /// A text with the values of other variables in it.
    Variables {
        /// The variables with the secret part, as far as their names say so; otherwise all.
        names: Vec<String>,
    },
}

impl Reference {
    /// Recognises `value`. `None` for any other value, which may be a secret.
    #[must_use = "a reference must not be used as a secret"]
    pub fn recognise(value: &str) -> Option<Self> {
        let value = unquoted(value.trim());
        ciphertext(value)
            .map(|tool| Self::Ciphertext { tool })
            .or_else(|| address(value).map(|store| Self::Address { store }))
            .or_else(|| is_file(value).then_some(Self::File))
            .or_else(|| expansion(value))
    }

    /// The tool whose metadata the variable `name` is. A file with such a variable holds ciphertext
    /// of the tool, and is made to be shared.
    #[cfg(feature = "store")]
    pub(crate) fn tool_of_metadata(name: &str) -> Option<&'static str> {
        const SOPS: [&str; 5] = ["version", "mac", "lastmodified", "unencrypted", "encrypted"];
        const KEYS: [&str; 7] = ["age", "pgp", "kms", "gcp_kms", "azure_kv", "hc_vault", "hckms"];
        let is_of = |rest: &str, own: &str| {
            rest.strip_prefix(own).is_some_and(|rest| rest.is_empty() || rest.starts_with('_'))
        };
        match name.strip_prefix("sops_") {
            Some(rest) if SOPS.iter().chain(&KEYS).any(|own| is_of(rest, own)) => Some("sops"),
            _ if is_of(name, "DOTENV_PUBLIC_KEY") => Some("dotenvx"),
            _ if is_of(name, "DOTENV_VAULT") => Some("dotenv-vault"),
            _ => None,
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ciphertext { tool } => write!(f, "this is ciphertext of {tool}: rotate it there"),
            Self::Address { store } => {
                write!(f, "this is a reference to {store}: rotate the secret there")
            }
            Self::File => f.write_str("this is the path of a file: rotate the secret in it"),
            Self::Command => {
                f.write_str("this is a command that prints the secret: rotate it at its source")
            }
            Self::Template => {
                f.write_str("this is a template of another program: rotate the secret there")
            }
            Self::Variables { names } => {
                let names: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
                write!(f, "it is made of other variables: rotate {}", names.join(", "))
            }
        }
    }
}

/// `value` without one pair of quotes, which readers such as `docker --env-file` leave.
fn unquoted(value: &str) -> &str {
    let inner = |quote| value.strip_prefix(quote)?.strip_suffix(quote);
    inner('"').or_else(|| inner('\'')).unwrap_or(value)
}

/// The tool that made the ciphertext `value`.
fn ciphertext(value: &str) -> Option<&'static str> {
    let is_text = |text: &str, least: usize| text.len() >= least && text.bytes().all(is_base64);
    let inside = |start: &str, end: &str| value.strip_prefix(start)?.strip_suffix(end);
    if value.strip_prefix("encrypted:").is_some_and(|own| is_text(own, 16)) {
        return Some("dotenvx");
    }
    if let Some(own) = inside("ENC[", "]") {
        return Some(match own.split(',').next().unwrap_or_default() {
            "PKCS7" | "GPG" => "hiera-eyaml",
            "AES256_GCM" => "sops",
            // A handle, by which the agent of Datadog asks for the secret.
            handle if handle.len() == own.len() && is_handle(own) => "the agent of Datadog",
            _ => return None,
        });
    }
    if inside("ENC(", ")").is_some_and(|own| is_text(own, 16)) {
        return Some("Jasypt");
    }
    if value.strip_prefix("{cipher}").is_some_and(|own| is_text(own, 16)) {
        return Some("Spring Cloud Config");
    }
    // `vault:v1:` and base64, of the engine that encrypts and keeps nothing.
    let transit = value.strip_prefix("vault:v").and_then(|own| own.split_once(':'));
    if transit.is_some_and(|(version, own)| is_number(version) && is_text(own, 16)) {
        return Some("Vault's transit engine");
    }
    let heads = [
        ("$ANSIBLE_VAULT;", "Ansible Vault"),
        ("-----BEGIN AGE ENCRYPTED FILE-----", "age"),
        ("-----BEGIN PGP MESSAGE-----", "OpenPGP"),
        ("-----BEGIN PKCS7-----", "a tool of PKCS #7"),
        ("-----BEGIN CMS-----", "a tool of CMS"),
        ("age-encryption.org/v1", "age"),
        ("\0GITCRYPT\0", "git-crypt"),
    ];
    heads.into_iter().find_map(|(head, tool)| value.starts_with(head).then_some(tool))
}

/// The store in which `value` names a secret.
fn address(value: &str) -> Option<&'static str> {
    let value = value.strip_prefix(">>").unwrap_or(value);
    let (head, rest) = value.split_once(':')?;
    let by_scheme = || rest.strip_prefix("//").filter(|own| is_locator(own)).and(scheme(head));
    by_scheme()
        .or_else(|| colon(head, rest))
        .or_else(|| resource(value))
        .or_else(|| reference_of_vals(value))
}

/// The store whose references begin with `scheme://`.
fn scheme(scheme: &str) -> Option<&'static str> {
    const AWS: &str = "AWS Secrets Manager";
    const AWS_SSM: &str = "the AWS parameter store";
    const GOOGLE: &str = "Google Secret Manager";
    const AZURE: &str = "Azure Key Vault";
    Some(match scheme.to_ascii_lowercase().as_str() {
        "op" | "onepassword" | "1password" | "onepasswordconnect" => "1Password",
        "vault" | "hashivault" | "hcvault" | "vault+kv" | "vault-kv" => "Vault",
        "bao" | "openbao" => "OpenBao",
        "awssm"
        | "aws-sm"
        | "aws-sec"
        | "awssecrets"
        | "awssecretsmanager"
        | "secretsmanager"
        | "aws-secrets"
        | "aws-secretsmanager"
        | "aws-secrets-manager"
        | "awssec" => AWS,
        "ssm" | "awsssm" | "aws-ssm" | "awsps" | "aws-ps" | "awsparamstore" | "chamber" => AWS_SSM,
        "awskms" | "aws-kms" => "AWS KMS",
        "sm"
        | "gsm"
        | "gcpsm"
        | "gcp-sm"
        | "gcpsecrets"
        | "gcp-secrets"
        | "gcpsecretmanager"
        | "gcp-secretmanager"
        | "gcp-secret-manager"
        | "googlesecretmanager"
        | "berglas" => GOOGLE,
        "gcpkms" | "gcp-kms" | "gkms" => "Google Cloud KMS",
        "akv" | "akvs" | "azkv" | "keyvault" | "key-vault" | "azurekv" | "azurekeyvault"
        | "azure-kv" | "azure-keyvault" | "azure-key-vault" => AZURE,
        "doppler" => "Doppler",
        "infisical" => "Infisical",
        "bws" | "bw" | "bitwarden" => "Bitwarden",
        "akeyless" => "Akeyless",
        "conjur" | "cyberark" => "Conjur",
        "keeper" => "Keeper",
        "dl" | "dashlane" => "Dashlane",
        "pass" | "protonpass" => "Proton Pass",
        "gopass" => "gopass",
        "dsv" | "delinea" | "secretserver" | "tss" => "Delinea",
        "credstash" => "credstash",
        "sops" => "sops",
        "secrets" | "secret" => "a store of secrets",
        "keyring" | "keychain" => "a keyring",
        "k8s" | "kubernetes" => "Kubernetes",
        _ => return None,
    })
}

/// The store of a reference with a colon alone: `vault:secret/data/app#JWT_SECRET`.
fn colon(head: &str, rest: &str) -> Option<&'static str> {
    let (path, key) = rest.split_once('#').unwrap_or((rest, ""));
    let is_part = |own: char| own.is_alphanumeric() || "/_-.${}| \"'#@+:".contains(own);
    let is_deep = path.trim_matches('/').contains('/');
    // A secret may begin alike: a path has names that people gave.
    let is_path = is_deep && rest.chars().all(is_part) && !path.split('/').any(is_mixed);
    let is_path = is_path && (key.is_empty() || !is_mixed(key) || key.len() < 32);
    match head {
        "vault" if is_path => Some("Vault"),
        "bao" if is_path => Some("OpenBao"),
        "akeyless" if is_path => Some("Akeyless"),
        "infisical" if is_path => Some("Infisical"),
        "gcp" if rest.starts_with("secretmanager:") => Some("Google Secret Manager"),
        "azure" if rest.starts_with("keyvault:") => Some("Azure Key Vault"),
        _ => None,
    }
}

/// The store of the name of a resource, as its cloud writes it.
fn resource(value: &str) -> Option<&'static str> {
    if let Some(own) = value.strip_prefix("arn:aws") {
        let mut parts = own.split(':').skip(1);
        let (service, is_whole) = (parts.next()?, parts.count() > 2);
        return match service {
            "secretsmanager" if is_whole => Some("AWS Secrets Manager"),
            "ssm" if is_whole => Some("the AWS parameter store"),
            "kms" if is_whole => Some("AWS KMS"),
            _ => None,
        };
    }
    if value.starts_with("@Microsoft.KeyVault(") && value.ends_with(')') {
        return Some("Azure Key Vault");
    }
    let host = value.strip_prefix("https://").and_then(|own| own.split_once('/'));
    match host {
        Some((host, path)) if path.starts_with("secrets/") => {
            let clouds = [".vault.azure.net", ".vault.azure.cn", ".vault.usgovcloudapi.net"];
            clouds.iter().any(|own| host.ends_with(own)).then_some("Azure Key Vault")
        }
        _ => None,
    }
}

/// The store of a reference of vals, which may be a part of the value: `ref+vault://app#/jwt`.
fn reference_of_vals(value: &str) -> Option<&'static str> {
    let is_reference = |rest: &str| {
        rest.split_once("://").is_some_and(|(kind, rest)| {
            let is_kind = |own: u8| own.is_ascii_lowercase() || own.is_ascii_digit();
            kind.len() > 1 && kind.bytes().all(is_kind) && !rest.is_empty()
        })
    };
    value.split("ref+").skip(1).any(is_reference).then_some("a store that vals reads")
}

/// Returns `true` for `projects/app/secrets/jwt/versions/1`.
fn is_google_name(value: &str) -> bool {
    let value = value.strip_prefix("//secretmanager.googleapis.com/").unwrap_or(value);
    let parts: Vec<_> = value.split('/').collect();
    let is_whole = parts.iter().all(|own| !own.is_empty()) && parts.len() <= 8;
    let place = parts.iter().position(|own| *own == "secrets");
    is_whole && parts[0] == "projects" && place.is_some_and(|own| own > 1 && own + 1 < parts.len())
}

/// Returns `true` for a path of a file, in a place of secrets or as a URL.
fn is_file(value: &str) -> bool {
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
    let rest = FOLDERS.iter().find_map(|own| value.strip_prefix(own));
    let rest = rest.or_else(|| value.strip_prefix("file:/"));
    let is_path = |own: &str| !own.trim_matches('/').is_empty() && is_locator(own);
    rest.is_some_and(is_path)
        || ["$__file{", "$__vault{", "$__env{"]
            .iter()
            .any(|own| value.starts_with(own) && value.ends_with('}'))
}

/// A value of which a shell or another program makes the secret.
fn expansion(value: &str) -> Option<Reference> {
    if is_google_name(value) {
        return Some(Reference::Address { store: "Google Secret Manager" });
    }
    let mut names = Vec::new();
    for part in value.split("${").skip(1) {
        let Some((inner, _)) = part.split_once('}') else { continue };
        // `${ssm:/app/jwt}`, `${vault:app#jwt}`, `${env:JWT_SECRET}`.
        let inner = inner.strip_prefix("env:").unwrap_or(inner);
        match inner.split_once(':') {
            Some(("ssm", _)) => {
                return Some(Reference::Address { store: "the AWS parameter store" });
            }
            Some(("file", _)) => return Some(Reference::File),
            Some(_) if address(inner).is_some() => {
                return address(inner).map(|store| Reference::Address { store });
            }
            _ => {}
        }
        let name = inner.split([':', '-', '?', '+', '=']).next().unwrap_or_default();
        // A random secret may hold `${aB}`; a URL, and a value that is nothing else, do not.
        let is_whole = value.contains("://") || part.len() + 2 == value.len();
        let is_clear = is_name(name) && (is_whole || name.len() > 2 && is_of_one_case(name));
        names.extend(is_clear.then(|| name.to_owned()));
    }
    if value.contains("://") || value.strip_prefix('$').is_some_and(is_upper) {
        names.extend(bare_names(value).map(str::to_owned));
    }
    let commands = value.match_indices("$(").map(|(place, _)| &value[place + 2..]);
    for inner in commands.filter_map(|own| own.split_once(')')).map(|(inner, _)| inner) {
        // Kubernetes has `$(NAME)` for a variable.
        match is_upper(inner) {
            true => names.push(inner.to_owned()),
            false if is_command(inner) => return Some(Reference::Command),
            false => {}
        }
    }
    if value.starts_with("$(") && value.ends_with(')') && names.is_empty() {
        return Some(Reference::Command);
    }
    if value.split('`').skip(1).step_by(2).any(is_command) && value.matches('`').count() > 1 {
        return Some(Reference::Command);
    }
    if !names.is_empty() {
        return Some(Reference::Variables { names: secret_names(names) });
    }
    template(value)
}

/// The names of `$NAME` without braces, where they are whole parts of the value.
fn bare_names(value: &str) -> impl Iterator<Item = &str> {
    value.match_indices('$').filter_map(|(place, _)| {
        let rest = &value[place + 1..];
        let is_part = |own: char| own == '_' || own.is_ascii_alphanumeric();
        let name = &rest[..rest.find(|own| !is_part(own)).unwrap_or(rest.len())];
        let before = value[..place].chars().next_back();
        let after = rest[name.len()..].chars().next();
        let is_edge = |own: Option<char>| own.is_none_or(|own| "/:@?&=,; ".contains(own));
        (name.len() > 2 && is_upper(name) && is_edge(before) && is_edge(after)).then_some(name)
    })
}

/// Those of `names` that say that they hold a secret; all, if none does.
fn secret_names(mut names: Vec<String>) -> Vec<String> {
    const WORDS: [&str; 9] =
        ["PASS", "PWD", "PSW", "SECRET", "TOKEN", "KEY", "CREDENTIAL", "CRED", "AUTH"];
    let is_secret = |name: &String| WORDS.iter().any(|own| name.to_uppercase().contains(own));
    let mut seen = std::collections::HashSet::new();
    names.retain(|name| seen.insert(name.clone()));
    if names.iter().any(is_secret) {
        names.retain(is_secret);
    }
    names
}

/// A value with `{{ … }}` or `<%= … %>`, which a program fills in before the service starts.
fn template(value: &str) -> Option<Reference> {
    let inside = |start: &str, end: &str| {
        value.split_once(start).and_then(|(_, own)| own.split_once(end)).map(|own| own.0.trim())
    };
    let inner = inside("{{", "}}")?;
    if let Some(store) = address(inner) {
        return Some(Reference::Address { store });
    }
    match inner.strip_prefix("resolve:").and_then(|own| own.split_once(':')) {
        Some(("secretsmanager", _)) => {
            return Some(Reference::Address { store: "AWS Secrets Manager" });
        }
        Some(_) => return Some(Reference::Address { store: "the AWS parameter store" }),
        None => {}
    }
    let is_word = |own: char| own.is_ascii_alphanumeric() || "_.$-\"' |/:#[]()".contains(own);
    (inner.len() > 2 && inner.chars().all(is_word)).then_some(Reference::Template)
}

/// Returns `true` for a command with its arguments.
fn is_command(text: &str) -> bool {
    let is_part = |own: u8| own.is_ascii_alphanumeric() || b"_-./".contains(&own);
    let words = text.trim_start().split_once([' ', '\t']);
    words.is_some_and(|(word, _)| word == "<" || word.len() > 1 && word.bytes().all(is_part))
}

/// Returns `true` for what follows the scheme of a reference.
fn is_locator(text: &str) -> bool {
    let is_part = |own: char| own.is_alphanumeric() || "/-_.:@#?=&,+{}%$ ~|*[]()".contains(own);
    !text.is_empty() && text.chars().all(is_part)
}

/// Returns `true` for a name that a person gave.
fn is_handle(text: &str) -> bool {
    let is_part = |own: u8| own.is_ascii_alphanumeric() || b"_-./:;".contains(&own);
    !text.is_empty() && text.bytes().all(is_part) && !is_mixed(text)
}

/// Returns `true` for a part that looks random: large and small letters, and digits.
fn is_mixed(text: &str) -> bool {
    let has = |is: fn(&u8) -> bool| text.bytes().any(|own| is(&own));
    has(u8::is_ascii_lowercase) && has(u8::is_ascii_uppercase) && has(u8::is_ascii_digit)
}

fn is_name(text: &str) -> bool {
    text.len() > 1
        && !text.starts_with(|own: char| own.is_ascii_digit())
        && text.bytes().all(|own| own == b'_' || own.is_ascii_alphanumeric())
}

fn is_of_one_case(text: &str) -> bool {
    let has = |is: fn(&u8) -> bool| text.bytes().any(|own| is(&own));
    has(u8::is_ascii_lowercase) != has(u8::is_ascii_uppercase)
}

fn is_upper(text: &str) -> bool {
    let is_part = |own: u8| own == b'_' || own.is_ascii_uppercase() || own.is_ascii_digit();
    is_name(text) && text.bytes().all(is_part)
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|own| own.is_ascii_digit())
}

fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"+/=-_".contains(&byte)
}

#[cfg(test)]
mod tests;
