//! Names made from templates: branches, folders.

use std::collections::BTreeMap;

/// Longest slug, in bytes.
const SLUG: usize = 40;

/// Fills `{name}` placeholders of a path or branch template.
///
/// # Errors
/// An unknown placeholder, or a brace without its partner.
pub fn path_template(template: &str, values: &BTreeMap<&str, String>) -> Result<String, String> {
    let mut out = String::with_capacity(template.len());
    let mut rest = template;
    while let Some(at) = rest.find(['{', '}']) {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        let Some((name, after)) = from.strip_prefix('{').and_then(|inner| inner.split_once('}')) else {
            return Err(format!("`{template}` has a brace without its partner"));
        };
        let Some(value) = values.get(name) else {
            let known = values.keys().map(|name| format!("{{{name}}}")).collect::<Vec<_>>().join(", ");
            return Err(format!("`{template}` asks for `{{{name}}}`; there are: {known}"));
        };
        out.push_str(value);
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}

/// A title as part of a branch name: ASCII letters, digits and `-`, at most 40 of them and cut
/// between words, never empty.
#[must_use]
pub fn slug(title: &str) -> String {
    let whole = slug::slugify(title);
    let mut short = whole.as_str();
    if whole.len() > SLUG {
        let cut = whole.get(..SLUG).unwrap_or_default();
        let at_border = whole.as_bytes().get(SLUG) == Some(&b'-');
        short = if at_border {
            cut
        } else {
            cut.rsplit_once('-').map_or(cut, |(words, _)| words)
        };
    }
    match short.trim_matches('-') {
        "" => "task".to_owned(),
        found => found.to_owned(),
    }
}
