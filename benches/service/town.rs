//! Worlds to measure in.

use serde_json::json;

use crate::Outcome;
use crate::world::{Setup, World};

/// A world of the `local` pipeline whose agents play these parts, many at a time.
pub fn many(agents: &str, set: &str) -> World {
    let setup = Setup {
        agents: agents.parse().expect("agents"),
        set: format!("\"serial_gate.enabled\" = false\n{set}").parse().expect("overrides"),
        config: "max_concurrency = 1000".parse().expect("a configuration"),
        ..Setup::default()
    };
    World::new(&setup)
}

/// Makes and starts this many tasks; their work item ids.
pub fn tasks(world: &World, count: u64) -> Vec<String> {
    let make = |n| {
        let body = json!({"title": format!("Number {n}"), "text": "Please.", "labels": ["auto:deploy"]});
        let answer = world.post("/api/tasks", &body).expect("an answer");
        assert!(answer.ok(), "{answer:?}");
        answer.body["item"].as_str().expect("an item").to_owned()
    };
    (1..=count).map(make).collect()
}

/// From now on the agents play these parts.
pub fn play(world: &World, agents: &str) -> Outcome<()> {
    let path = world.path("script.toml");
    let mut script: toml::Table = std::fs::read_to_string(&path)?.parse()?;
    script.insert("agents".to_owned(), agents.parse::<toml::Table>()?.into());
    Ok(std::fs::write(path, script.to_string())?)
}
