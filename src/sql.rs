//! Parts of statements of SQL.

/// Writes `name` as an identifier, in double quotes.
pub(crate) fn quote_identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identifier_ends_where_its_name_ends() {
        assert_eq!(quote_identifier("Odd \"name\"; --"), "\"Odd \"\"name\"\"; --\"");
    }
}
