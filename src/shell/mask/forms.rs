//! The forms in which a secret may be printed.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

use super::SHORTEST;

/// Lines of a value that are at least this long, in bytes, are secrets of their own: keys are often printed line by line.
const LINE: usize = 16;

/// The forms of a value; none of one that is too short.
pub(super) fn of(value: &str) -> Vec<Vec<u8>> {
    let value = value.trim();
    let lines = value
        .lines()
        .map(str::trim)
        .filter(|line| line.len() >= LINE && line.len() < value.len());
    let mut forms: Vec<Vec<u8>> = std::iter::once(value).chain(lines).flat_map(of_one).collect();
    forms.retain(|form| form.len() >= SHORTEST);
    forms
}

fn of_one(value: &str) -> Vec<Vec<u8>> {
    if value.len() < SHORTEST {
        return Vec::new();
    }
    let mut forms = vec![value.as_bytes().to_vec()];
    let json = serde_json::to_string(value).unwrap_or_default();
    let json = json
        .trim_start_matches('"')
        .strip_suffix('"')
        .map(str::to_owned)
        .unwrap_or_default();
    forms.push(json.replace('/', "\\/").into_bytes());
    forms.push(json.into_bytes());
    // What is never encoded, and what encoders differ about.
    for kept in ["-._~", "-_.!~*'()", "-._~/", "-._~:/?#[]@!$&'()*+,;="] {
        for hex in [b"0123456789ABCDEF", b"0123456789abcdef"] {
            forms.push(percent(value, kept, hex));
        }
    }
    for shift in 0..3 {
        forms.extend(base64(value.as_bytes(), shift));
    }
    forms
}

fn percent(value: &str, kept: &str, hex: &[u8; 16]) -> Vec<u8> {
    let mut out = Vec::with_capacity(value.len() * 3);
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || kept.as_bytes().contains(&byte) {
            out.push(byte);
        } else {
            out.extend([b'%', hex[usize::from(byte >> 4)], hex[usize::from(byte & 15)]]);
        }
    }
    out
}

/// The characters of its base64 that depend on nothing but the value, `shift` bytes into a group of three.
fn base64(value: &[u8], shift: usize) -> [Vec<u8>; 2] {
    let mut bytes = vec![0; shift];
    bytes.extend_from_slice(value);
    let (from, to) = ((shift * 8).div_ceil(6), bytes.len() * 8 / 6);
    [STANDARD_NO_PAD, URL_SAFE_NO_PAD].map(|engine| engine.encode(&bytes).as_bytes()[from..to].to_vec())
}
