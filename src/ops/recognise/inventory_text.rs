//! The text of an inventory with the secrets that were recognised.

use std::fmt::Write;
use std::path::Path;

use super::proposed_store::ProposedStore;
use super::recognised::Recognised;
use super::shortfall::Shortfall;
use super::survey::Survey;
use crate::purpose::Purpose;

/// The name of the secret that signs the trail, and one for where a variable has that name.
const AUDIT: [&str; 2] = ["AUDIT_SECRET", "DUALKEY_AUDIT_SECRET"];

impl Survey {
    /// The text of an inventory with these secrets, that of the audit trail first. The inventory is
    /// in the folder `root`.
    #[must_use]
    pub fn to_inventory(&self, root: &Path, store: ProposedStore) -> String {
        let is_taken = self
            .secrets
            .iter()
            .map(|secret| &secret.name)
            .chain(self.left_out.iter().map(|variable| &variable.name))
            .any(|name| name == AUDIT[0]);
        let audit = AUDIT[usize::from(is_taken)];
        let files: Vec<_> = self.files.iter().map(|file| place(file, root)).collect();
        let mut text = format!(
            "# The secrets that `dualkey init` found in {}, without a value: what each is for, where it \
             is,\n# and when it is rotated. `dualkey status` shows their state, `dualkey doctor` what is \
             wrong.\n",
            files.join(" and ").replace(['\n', '\r'], " ")
        );
        text += &format!(
            r#"
version = 1

# The environment that is meant where none is named with `--env`.
environment = "production"

[audit]
# What was done to which secret, and by whom.
file = "audit.log"
secret = "{audit}"

[remind]
# The variable with the URL of a webhook that takes Slack's JSON.
webhook = "DUALKEY_WEBHOOK"
days_ahead = 7 # a rotation that is done so many days early counts for its date

# It signs the audit trail. `dualkey adopt` makes it. Old keys are kept, to verify old records.
[[secret]]
name = "{audit}"
purpose = "audit"
priority = "critical"
store = {{ file = "keys/{audit}.json" }}
rotate = "annual"
"#
        );
        for secret in &self.secrets {
            text += &entry(secret, root, store);
        }
        text
    }
}

fn entry(secret: &Recognised, root: &Path, store: ProposedStore) -> String {
    let mut text = String::new();
    let mut line = |line: &str| {
        text += line;
        text.push('\n');
    };
    line("");
    if secret.is_placeholder {
        line("# The value in use is a placeholder, which attackers know: replace it first.");
    }
    if secret.manual.is_some() {
        line(&format!("# Rotated by hand. Then: dualkey record {} rotated", secret.name));
    } else if secret.purpose.is_made_elsewhere() {
        let name = &secret.name;
        line(&format!(
            "# A new value comes from the other side: dualkey rotate {name} --value-from FILE"
        ));
    }
    line("[[secret]]");
    line(&format!("name = \"{}\"", secret.name));
    line(&format!("purpose = \"{}\"", secret.purpose));
    line(&format!("priority = \"{}\"", secret.priority.as_str()));
    line(&match (&secret.manual, store) {
        (Some(place), _) => format!("store = {{ manual = {} }}", quote(place)),
        (None, ProposedStore::Dotenv) => {
            format!("store = {{ dotenv = {} }}", quote(&place(&secret.file, root)))
        }
        (None, ProposedStore::File) => {
            format!("store = {{ file = \"keys/{{env}}/{}.json\" }}", secret.name)
        }
    });
    line(&format!("rotate = \"{}\"", secret.rotate));
    if secret.purpose.has_expiry_by_time()
        && secret.purpose != Purpose::VerifyToken
        && secret.manual.is_none()
    {
        line("max_lifetime = \"7 days\" # of what it signs: a superseded key verifies for so long");
    }
    let floor = "# The value in use is short. It signs until the first rotation; a new one is longer.\n\
                 # Remove this line once the old key is destroyed.";
    let below = "# The value in use is shorter than its purpose allows, so that it can be searched for:\n\
                 # rotate it now. It signs until then; a new one is longer. Remove this line once the\n\
                 # old key is destroyed.";
    if let Some(setting) = secret.shortfall.setting() {
        line(if matches!(secret.shortfall, Shortfall::Below(_)) { below } else { floor });
        line(&setting);
    }
    if secret.purpose == Purpose::Envelope && secret.manual.is_none() {
        line(
            "# A rotation needs a backup, and the tables with what it sealed:\n\
             # backup = { file = \"backups/latest.dump\", max_age = \"1 day\" }\n\
             # [[secret.data]]\n\
             # database = \"DATABASE_URL\"\n\
             # table = \"notes\"\n\
             # columns = [\"body\"]\n\
             # context = \"notes/{key}/{column}\"",
        );
    }
    text
}

/// The path of a file as the inventory in `root` names it.
fn place(file: &Path, root: &Path) -> String {
    let root_full = std::path::absolute(root).unwrap_or_else(|_| root.to_owned());
    let full = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
    let shown = full.strip_prefix(&root_full).map_or_else(|_| full.clone(), Path::to_owned);
    shown.to_string_lossy().into_owned()
}

/// `text` as a basic string of TOML.
fn quote(text: &str) -> String {
    let mut quoted = String::from("\"");
    for char in text.chars() {
        match char {
            '"' | '\\' => quoted.extend(['\\', char]),
            char if char.is_control() => _ = write!(quoted, "\\u{:04x}", u32::from(char)),
            char => quoted.push(char),
        }
    }
    quoted + "\""
}
