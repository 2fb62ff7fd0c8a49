//! Stub until merged.
use crate::engine::rules::Ruleset;
use std::collections::BTreeMap;
#[derive(Debug, Clone)]
pub struct Words<'a> {
    pub item: &'a str,
    pub title: &'a str,
    pub stage: &'a str,
    pub to: &'a str,
    pub branch: &'a str,
    pub who: &'a str,
    pub outcome: &'a str,
    pub detail: &'a str,
    pub text: &'a str,
    pub attempt: u32,
    pub max: u32,
    pub previous: &'a str,
    pub vars: &'a BTreeMap<String, String>,
}
pub fn message(_rules: &Ruleset, key: &str, words: &Words) -> String {
    format!("{key} {}", words.detail)
}
pub fn path_template(template: &str, values: &BTreeMap<&str, String>) -> Result<String, String> {
    let mut s = template.to_owned();
    for (k, v) in values {
        s = s.replace(&format!("{{{k}}}"), v);
    }
    Ok(s)
}
pub fn slug(title: &str) -> String {
    slug::slugify(title)
}
