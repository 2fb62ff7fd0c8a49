//! Programs: commands that agents share, and which of them counts.

use super::super::{Output, Ruleset};
use super::{add, load, root, shipped_files};

fn rules_of(project: &str) -> std::sync::Arc<Ruleset> {
    let mut files = shipped_files();
    add(&mut files, &root().join("tests/configs/valid/programs"), "");
    let loaded = load(&files);
    assert!(!loaded.failed(), "{:#?}", loaded.diagnostics);
    loaded.rulesets[&crate::engine::model::Name::new(project)].clone()
}

#[test]
fn each_built_in_program_is_one_line() {
    for (name, output, flag) in [
        ("claude", Output::Claude, "stream-json"),
        ("codex", Output::Codex, "--json"),
        ("gemini", Output::Gemini, "stream-json"),
        ("opencode", Output::OpenCode, "json"),
    ] {
        let rules = rules_of(name);
        for agent in rules.agents.values() {
            assert_eq!((agent.run[0].as_str(), agent.output), (name, output));
            assert!(agent.run.iter().any(|a| a == flag), "{:?}", agent.run);
            assert!(!agent.share_home && !agent.credentials.is_empty() && !agent.env.is_empty());
        }
    }
}

#[test]
fn an_agents_own_choice_wins() {
    let rules = rules_of("mixed");
    let agent = |name: &str| &rules.agents[&crate::engine::model::Name::new(name)];
    assert_eq!(agent("analyst").run[0], "claude");
    let developer = &agent("developer").run;
    assert_eq!(
        (developer[0].as_str(), &developer[developer.len() - 2..]),
        ("claude", &["--model".to_owned(), "opus".to_owned()][..])
    );
    assert_eq!(
        (agent("reviewer").run[0].as_str(), agent("reviewer").output),
        ("codex", Output::Codex)
    );
    let deployer = agent("deployer");
    assert_eq!(
        (deployer.run.as_slice(), deployer.output),
        (&["./deploy.sh".to_owned()][..], Output::Text)
    );
    assert!(deployer.env.is_empty(), "nothing of the program it does not run");
}
