//! What differs between what is in force and what was read.

use std::collections::BTreeSet;

use serde_json::Value as Json;

use crate::engine::rules::Config;

/// Files that differ between two stored rulesets, and `signalbox.toml` where the project's own
/// settings or the language do.
pub(super) fn files(old: &Json, new: &Json) -> Vec<String> {
    let names = |v: &Json| {
        v["files"]
            .as_object()
            .map(|m| m.keys().cloned().collect::<BTreeSet<_>>())
            .unwrap_or_default()
    };
    let all: BTreeSet<String> = names(old).union(&names(new)).cloned().collect();
    let mut found: Vec<String> = all.into_iter().filter(|f| old["files"].get(f) != new["files"].get(f)).collect();
    if ["pipeline", "language", "chat_language", "settings"]
        .iter()
        .any(|key| old[*key] != new[*key])
    {
        found.push("signalbox.toml".to_owned());
    }
    found
}

/// Settings that are different from now on, for people.
pub(super) fn settings(old: &Config, new: &Config) -> Vec<String> {
    let mut found = Vec::new();
    if old.max_concurrency != new.max_concurrency {
        found.push(format!("max_concurrency: {} → {}", old.max_concurrency, new.max_concurrency));
    }
    if old.stalled_after != new.stalled_after {
        let shown = crate::engine::rules::show_duration;
        found.push(format!(
            "stalled_after: {} → {}",
            shown(old.stalled_after),
            shown(new.stalled_after)
        ));
    }
    if old.people != new.people {
        found.push("people: who may decide".to_owned());
    }
    if old.api.hosts != new.api.hosts {
        found.push("api.hosts: names that are answered to".to_owned());
    }
    if old.chat != new.chat {
        found.push("chat: where alerts and cards are shown".to_owned());
    }
    for (name, project) in &new.projects {
        let Some(before) = old.projects.get(name) else { continue };
        if before.max_concurrency != project.max_concurrency {
            let told = |m: Option<u32>| m.map_or_else(|| "none".to_owned(), |m| m.to_string());
            found.push(format!(
                "projects.{name}.max_concurrency: {} → {}",
                told(before.max_concurrency),
                told(project.max_concurrency)
            ));
        }
        if before.priority != project.priority {
            found.push(format!("projects.{name}.priority: {} → {}", before.priority, project.priority));
        }
        if before.in_flight != project.in_flight {
            found.push(format!(
                "projects.{name}.in_flight: {} → {}",
                before.in_flight.as_str(),
                project.in_flight.as_str()
            ));
        }
    }
    found
}

/// Changes that only a start carries out, for people.
pub(super) fn next_start(old: &Config, new: &Config) -> Vec<String> {
    let mut found = Vec::new();
    if old.data != new.data {
        found.push(format!("data: {} stays in use", old.data));
    }
    if old.listen != new.listen {
        found.push(format!("listen: {} stays in use", old.listen));
    }
    if old.containment != new.containment {
        found.push(format!("containment: {} stays in use", old.containment.as_str()));
    }
    if old.api.token != new.api.token {
        found.push("api.token".to_owned());
    }
    for (name, project) in &new.projects {
        match old.projects.get(name) {
            None => found.push(format!("project {name} is new")),
            Some(before) if before.tracker != project.tracker || before.forge != project.forge => {
                found.push(format!("projects.{name}: another tracker or forge"));
            }
            Some(_) => {}
        }
    }
    let gone = old.projects.keys().filter(|name| !new.projects.contains_key(*name));
    found.extend(gone.map(|name| format!("project {name} is gone; until then it takes new tasks under its last rules")));
    found
}

/// The configuration in force from now on: what was read, with what only a start can change.
pub(super) fn in_force(old: &Config, mut new: Config) -> Config {
    new.data.clone_from(&old.data);
    new.listen = old.listen;
    new.containment = old.containment;
    new.api.token.clone_from(&old.api.token);
    new.projects.retain(|name, _| old.projects.contains_key(name));
    for (name, before) in &old.projects {
        match new.projects.get_mut(name) {
            Some(project) => {
                project.tracker = before.tracker.clone();
                project.forge = before.forge.clone();
            }
            None => {
                new.projects.insert(name.clone(), before.clone());
            }
        }
    }
    new
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::model::Name;
    use crate::engine::rules::load;
    use crate::shell::embedded::embedded;

    fn config(text: &str) -> Config {
        let mut files = embedded();
        files.insert("signalbox.toml", text, "signalbox.toml");
        let loaded = load(&files);
        assert!(!loaded.failed(), "{:#?}", loaded.diagnostics);
        loaded.config.unwrap()
    }

    fn project(name: &str, prefix: &str, more: &str) -> String {
        format!(
            "[projects.{name}]\npipeline = \"local\"\nprefix = \"{prefix}\"\n{more}\ntracker = {{ kind = \"local\" }}\n\
             forge = {{ kind = \"local\", source = \"{name}\", default_branch = \"main\" }}\n\
             set = {{ \"agents.*.run\" = [\"true\"] }}\n"
        )
    }

    #[test]
    fn what_can_change_now_and_what_cannot_are_told_apart() {
        let old = config(&format!("schema = 1\n{}{}", project("shop", "SHOP", ""), project("old", "OLD", "")));
        let new = config(&format!(
            "schema = 1\nlisten = \"127.0.0.1:9000\"\nmax_concurrency = 3\n{}{}[people]\napprover = [\"ann\"]\n",
            project("shop", "SHOP", "in_flight = \"follow\"\nmax_concurrency = 2"),
            project("fresh", "NEW", "")
        ));
        let told = settings(&old, &new).join("\n");
        for part in [
            "max_concurrency: 1 → 3",
            "people",
            "shop.max_concurrency: none → 2",
            "shop.in_flight: pin → follow",
        ] {
            assert!(told.contains(part), "{told}");
        }
        let later = next_start(&old, &new).join("\n");
        for part in ["listen: 127.0.0.1:8500 stays", "project fresh is new", "project old is gone"] {
            assert!(later.contains(part), "{later}");
        }
        let force = in_force(&old, new);
        assert_eq!((force.listen, force.max_concurrency), (old.listen, 3));
        assert_eq!(force.projects.keys().map(Name::as_str).collect::<Vec<_>>(), ["old", "shop"]);
    }

    #[test]
    fn files_that_differ_are_named() {
        let old = serde_json::json!({ "files": { "a": "1", "b": "2" }, "settings": 1 });
        let new = serde_json::json!({ "files": { "a": "1", "b": "3", "c": "" }, "settings": 2 });
        assert_eq!(files(&old, &new), ["b", "c", "signalbox.toml"]);
        assert_eq!(files(&old, &old), Vec::<String>::new());
    }
}
