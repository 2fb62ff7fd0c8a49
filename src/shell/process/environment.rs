//! The environment of an agent: it starts empty and is filled from an allow-list.

use std::collections::BTreeMap;
use std::path::Path;

/// Inherited without asking. TMPDIR is not: every run has its own.
const BUILT_IN: &[&str] = &["PATH", "LANG", "LANGUAGE", "TERM", "TZ", "USER", "LOGNAME", "SHELL"];

/// Names holding one of these are inherited only when the rules allow them by their full name.
const SECRETIVE: &[&str] = &["TOKEN", "SECRET", "PASSWORD", "PASSWD", "CREDENTIAL", "API_KEY", "PRIVATE_KEY"];

/// The complete environment of an agent: the built-in allow-list and `allow` (names, or prefixes
/// ending in `*`) with the service's values, `HOME` as given, and `extra`, which wins.
#[must_use]
pub fn environment(allow: &[String], home: &Path, extra: BTreeMap<String, String>) -> BTreeMap<String, String> {
    // Values that are not text cannot travel in the run's JSON; none of the names we know has such.
    let own = std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)));
    build(own, allow, home, extra)
}

fn build(
    own: impl Iterator<Item = (String, String)>,
    allow: &[String],
    home: &Path,
    extra: BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    let mut env: BTreeMap<String, String> = own.filter(|(name, _)| inherited(name, allow)).collect();
    env.insert("HOME".into(), home.to_string_lossy().into_owned());
    env.extend(extra);
    env
}

fn inherited(name: &str, allow: &[String]) -> bool {
    if matches!(name, "HOME" | "TMPDIR") {
        return false;
    }
    if allow.iter().any(|a| a == name) {
        return true;
    }
    let upper = name.to_ascii_uppercase();
    // The service's own settings may hold paths of keys; they are never meant for agents.
    if upper.starts_with("SIGNALBOX_") || SECRETIVE.iter().any(|s| upper.contains(s)) {
        return false;
    }
    BUILT_IN.contains(&name)
        || name.starts_with("LC_")
        || allow
            .iter()
            .filter_map(|a| a.strip_suffix('*'))
            .any(|prefix| !prefix.is_empty() && name.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(own: &[&str], allow: &[&str]) -> Vec<String> {
        let own = own.iter().map(|n| ((*n).to_owned(), "v".to_owned()));
        let allow: Vec<String> = allow.iter().map(|a| (*a).to_owned()).collect();
        build(own, &allow, Path::new("/h"), BTreeMap::from([("EXTRA".into(), "1".into())]))
            .into_keys()
            .collect()
    }

    #[test]
    fn nothing_is_inherited_by_default_but_the_built_in_list() {
        let own = [
            "PATH",
            "LC_ALL",
            "HOME",
            "TMPDIR",
            "FORGE_TOKEN",
            "DATABASE_URL",
            "SIGNALBOX_RUN",
            "GIT_DIR",
            "LC_SECRET",
        ];
        assert_eq!(names(&own, &[]), ["EXTRA", "HOME", "LC_ALL", "PATH"]);
    }

    #[test]
    fn secrets_only_by_full_name() {
        let own = ["AWS_REGION", "AWS_SECRET_ACCESS_KEY", "ANTHROPIC_API_KEY", "NPM_TOKEN"];
        assert_eq!(names(&own, &["AWS_*", "*", "NPM_*"]), ["AWS_REGION", "EXTRA", "HOME"]);
        assert_eq!(
            names(&own, &["ANTHROPIC_API_KEY", "NPM_TOKEN"]),
            ["ANTHROPIC_API_KEY", "EXTRA", "HOME", "NPM_TOKEN"]
        );
    }

    #[test]
    fn home_is_given_and_extra_wins() {
        let env = environment(
            &["HOME".into()],
            Path::new("/fresh"),
            BTreeMap::from([("PATH".into(), "/only".into())]),
        );
        assert_eq!(env.get("HOME").map(String::as_str), Some("/fresh"));
        assert_eq!(env.get("PATH").map(String::as_str), Some("/only"));
    }
}
