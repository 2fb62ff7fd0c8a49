//! YAML front-matter of artefacts: only what stands between the `---` lines counts.

use std::collections::BTreeMap;

use yaml_serde::Value;

/// Longest front-matter, in bytes: a larger one is refused before it reaches the parser.
const MAX: usize = 16 * 1024;

/// The scalar entries of a document's front-matter, as text.
///
/// # Errors
/// A sentence for people: no front-matter, not closed, too large, or not YAML.
pub fn parse(bytes: &[u8]) -> Result<BTreeMap<String, String>, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())?;
    let yaml = block(text)?;
    let value: Value = yaml_serde::from_str(yaml).map_err(|error| format!("its front-matter is no YAML: {error}"))?;
    let Value::Mapping(mapping) = value else {
        return Err("its front-matter is no list of `key: value` lines".to_owned());
    };
    let mut values = BTreeMap::new();
    for (key, value) in mapping {
        if let (Value::String(key), Some(text)) = (key, scalar(&value)) {
            values.insert(key, text);
        }
    }
    Ok(values)
}

fn block(text: &str) -> Result<&str, String> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let rest = text
        .strip_prefix("---\n")
        .or_else(|| text.strip_prefix("---\r\n"))
        .ok_or_else(|| "it does not begin with a `---` line".to_owned())?;
    let mut at = 0;
    for line in rest.split_inclusive('\n') {
        if matches!(line.trim_end(), "---" | "...") {
            return if at <= MAX {
                Ok(&rest[..at])
            } else {
                Err(format!("its front-matter is larger than {MAX} bytes"))
            };
        }
        at += line.len();
    }
    Err("its front-matter is not closed by a `---` line".to_owned())
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.trim().to_owned()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn only_the_front_matter_decides() {
        let text = b"---\nverdict: APPROVED\nrun: abc\nlist: [1]\n---\nverdict: REQUEST_CHANGES\n";
        let values = parse(text).unwrap();
        assert_eq!(values["verdict"], "APPROVED");
        assert_eq!(values["run"], "abc");
        assert!(!values.contains_key("list"));
    }

    #[test]
    fn what_is_no_front_matter_says_why() {
        let cases: [(&[u8], &str); 6] = [
            (b"verdict: APPROVED\n", "does not begin"),
            (b"---\nverdict: APPROVED\n", "not closed"),
            (b"---\na: b: c\n---\n", "no YAML"),
            (b"---\n- one\n---\n", "no list of"),
            (b"\xff\xfe---\n", "not UTF-8"),
            (b"---\nverdict: A\nverdict: B\n---\n", "no YAML"),
        ];
        for (text, expected) in cases {
            let why = parse(text).unwrap_err();
            assert!(why.contains(expected), "{why}");
        }
        let big = format!("---\n{}\n---\n", "a: b # ".repeat(10_000));
        assert!(parse(big.as_bytes()).unwrap_err().contains("larger"));
    }

    #[test]
    fn a_number_like_nonce_and_crlf_are_read_as_text() {
        let values = parse(b"---\r\nrun: 12345\r\nverdict: \"PASS\"\r\n---\r\n").unwrap();
        assert_eq!((values["run"].as_str(), values["verdict"].as_str()), ("12345", "PASS"));
    }
}
