//! The context of a sealed value, by the template of the inventory.

use crate::rewrap::RowKey;

/// Fills in the template for one value.
pub(super) fn fill(template: &str, table: &str, key: &RowKey, column: &str) -> String {
    let mut text = String::with_capacity(template.len() + 32);
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        let (mark, after) = after.split_once('}').unwrap_or((after, ""));
        text.push_str(before);
        match mark {
            "table" => text.push_str(table),
            "column" => text.push_str(column),
            "key" => text.push_str(&key.to_string()),
            place => {
                let part = place.parse().ok().and_then(|place: usize| key.parts().get(place));
                text.push_str(&part.map(ToString::to_string).unwrap_or_default());
            }
        }
        rest = after;
    }
    text + rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rewrap::KeyPart;

    #[test]
    fn a_context_is_filled_in() {
        let key = RowKey::new([KeyPart::Text("a{1}".to_owned()), KeyPart::Integer(7)]);
        for (template, expected) in [
            ("", ""),
            ("notes", "notes"),
            ("{table}/{key}/{column}", "notes/a{1}/7/body"),
            ("{0}|{1}|{2}", "a{1}|7|"),
        ] {
            assert_eq!(fill(template, "notes", &key, "body"), expected);
        }
    }
}
