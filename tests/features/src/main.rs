//! Checks that verdicts on claims do not depend on features of `serde_json`.

mod verdicts;

fn main() {
    let number: serde_json::Value = serde_json::from_str("1.50").expect("a number is JSON");
    assert_eq!(number.to_string(), "1.50", "the feature is off: this checks nothing");
    let count = verdicts::check();
    println!("{count} verdicts are those without the features");
}
