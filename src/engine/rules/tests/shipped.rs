//! The shipped pipelines, and what the loader makes of them.

use super::super::*;
use super::{TWO, load, shipped_files, with_projects};
use crate::engine::breaker::Limits;
use crate::engine::budget::Budget;
use crate::engine::model::{FactKey, Millis, Name};

fn good(files: &Files) -> Loaded {
    let loaded = load(files);
    assert!(loaded.diagnostics.is_empty(), "{}", render_human(&loaded.diagnostics, files, false));
    loaded
}

fn names(list: &[Name]) -> Vec<&str> {
    list.iter().map(Name::as_str).collect()
}

#[test]
fn shipped_pipelines_are_clean_and_base_is_for_extending() {
    let loaded = good(&shipped_files());
    assert_eq!(
        loaded.pipelines.keys().map(Name::as_str).collect::<Vec<_>>(),
        ["docs", "enduro", "local", "orch"]
    );
    assert!(loaded.config.is_none() && loaded.rulesets.is_empty());
}

#[test]
fn orch_is_what_the_reference_says() {
    let loaded = good(&with_projects(TWO));
    let rules = &loaded.rulesets["orch"];
    assert_eq!(rules.prefix, "ORCH");
    assert_eq!(rules.sink, Name::new("cancelled"));
    assert_eq!(rules.flow.len(), 9);
    assert!(!rules.serial_gate.enabled && names(&rules.serial_gate.guards) == ["analysis"]);
    assert_eq!(rules.agents["developer"].run, ["claude", "-p"]);
    assert_eq!(rules.agents["tester"].run, ["./agent.sh"]);
    assert_eq!(rules.agents["tester"].timeout, Millis::secs(1800));
    assert_eq!(rules.stages["deploy"].actions, [Action::Merge]);
    assert_eq!(rules.stages["deploy"].on.len(), 6);
    assert_eq!(rules.signals.status["STOP"], Name::new("stop"));
    assert_eq!(rules.signals.other_comment, Some(Name::new("answer")));
    assert_eq!(rules.on.keys().map(Name::as_str).collect::<Vec<_>>(), ["signal.reject"]);
    assert_eq!(rules.counters["rework"].max, 2);
    assert!(rules.counters["rework"].spent.escalate && rules.counters["rework"].spent.status.as_deref() == Some("Blocked"));
    assert_eq!(rules.auto["deploy"].suspended_by.len(), 4);
}

#[test]
fn gates_know_what_they_read_and_how_they_come_out() {
    let loaded = good(&with_projects(TWO));
    let gate = |name: &str| &loaded.rulesets["orch"].gates[name];
    assert_eq!(
        (names(&gate("brd").outcomes), &gate("brd").reads),
        (vec!["missing", "questions"], &vec![FactKey::Files])
    );
    // `none` of the checks makes `first_of` ask the command, which cannot answer it.
    assert_eq!(
        (names(&gate("built").outcomes), names(&gate("built").waits)),
        (vec!["red"], vec!["pending"])
    );
    assert_eq!(gate("built").reads, [FactKey::Checks]);
    assert_eq!(
        (names(&gate("verdict").outcomes), names(&gate("verdict").waits)),
        (vec!["changes", "unreadable"], vec!["waiting"])
    );
    assert_eq!(
        gate("verdict").reads,
        [FactKey::Frontmatter("12-review.md".into()), FactKey::Reviews]
    );
    assert_eq!(
        (&gate("confirmed").reads, names(&gate("confirmed").waits)),
        (&vec![FactKey::Issue, FactKey::Head], vec!["waiting"])
    );
    assert_eq!(names(&gate("staging").outcomes), ["error", "red"]);
    assert_eq!(names(&gate("mergeable").outcomes), ["behind", "conflict"]);
    assert_eq!(names(&gate("ci").outcomes), ["none", "red"]);
}

#[test]
fn only_what_the_flow_reaches_is_part_of_a_pipeline() {
    let loaded = good(&with_projects(TWO));
    let local = &loaded.pipelines["local"];
    assert!(!local.agents.contains_key("analyst") && !local.gates.contains_key("brd"));
    assert!(local.agents["developer"].run.is_empty());
    assert_eq!(names(&local.serial_gate.guards), ["development"]);
    // `"unset"` and a pipeline's own gates leave inherited edges behind.
    assert_eq!(
        local.stages["development"].on.keys().map(Name::as_str).collect::<Vec<_>>(),
        ["local_tests.red", "signal.reject"]
    );
}

#[test]
fn what_is_stored_comes_back_the_same() {
    let loaded = good(&with_projects(TWO));
    for (project, inputs) in &loaded.inputs {
        let text = inputs.stored().to_string();
        let revived = revive(&serde_json::from_str(&text).unwrap()).unwrap();
        assert_eq!(format!("{revived:?}"), format!("{:?}", loaded.rulesets[project]));
        assert_eq!(revived.hash, inputs.hash());
    }
    assert!(revive(&serde_json::json!({ "version": 99 })).is_err());
    let mut damaged = loaded.inputs["orch"].stored();
    damaged["files"]["pipelines/base.toml"] = "schema = ".into();
    assert_eq!(revive(&damaged).unwrap_err()[0].code, codes::SYNTAX);
}

#[test]
fn the_hash_moves_with_what_matters_only() {
    let hash = |config: &str, change: &dyn Fn(&mut Files)| {
        let mut files = with_projects(config);
        change(&mut files);
        good(&files).rulesets["enduro"].hash.clone()
    };
    let plain = hash(TWO, &|_| {});
    let touch = |path: &'static str, add: &'static str| move |f: &mut Files| f.0.get_mut(path).unwrap().text.push_str(add);
    assert_eq!(plain.len(), 64);
    assert_eq!(plain, hash(TWO, &|_| {}));
    assert_eq!(plain, hash(TWO, &touch("pipelines/orch.toml", "# more\n")));
    assert_eq!(plain, hash(&TWO.replace("alice", "bob"), &|_| {}));
    for path in [
        "pipelines/base.toml",
        "pipelines/enduro.toml",
        "prompts/tester.md",
        "messages/en.toml",
    ] {
        assert_ne!(plain, hash(TWO, &touch(path, "\n# more\n")), "{path}");
    }
    assert_ne!(plain, hash(&TWO.replace("\"ET\"", "\"EU\""), &|_| {}));
    assert_ne!(plain, hash(&TWO.replace("./agent.sh", "./other.sh"), &|_| {}));
}

#[test]
fn origins_name_the_line_that_decides() {
    let loaded = good(&with_projects(TWO));
    let origins = &loaded.origins["orch"].0;
    let at = |path: &str| (origins[path].file.as_str(), origins[path].line);
    assert_eq!(at("serial_gate.enabled"), ("signalbox.toml", 8));
    assert_eq!(at("flow").0, "pipelines/orch.toml (built in)");
    assert_eq!(at("counters.rework.max").0, "pipelines/base.toml (built in)");
    assert_eq!(origins["stages.review.on.\"verdict.changes\".uses"].value, "\"rework\"");
}

#[test]
fn a_huge_file_is_refused_and_the_list_of_findings_is_bounded() {
    let mut files = shipped_files();
    files.insert("pipelines/huge.toml", "#".repeat(MAX_FILE + 1), "huge");
    assert_eq!(load(&files).diagnostics[0].code, codes::UNREADABLE_FILE);
    let many: String = (0..150).map(|i| format!("key{i} = 1\n")).collect();
    files.insert("pipelines/huge.toml", format!("schema = 1\n{many}"), "huge");
    let loaded = load(&files);
    assert_eq!(loaded.diagnostics.len(), 150);
    let text = render_human(&loaded.diagnostics, &files, false);
    assert!(
        text.contains("… and 50 more") && text.ends_with("150 errors, 0 warnings\n"),
        "{text}"
    );
}

#[test]
fn russian_messages_fall_back_on_english() {
    let mut files = with_projects(&TWO.replace("schema = 1", "schema = 1\nlanguage = \"ru\""));
    files.insert("messages/ru.toml", "[note]\nrejected = \"Отклонено\"\n", "ru");
    let loaded = good(&files);
    let messages = &loaded.rulesets["orch"].messages;
    assert_eq!(messages["note.rejected"], "Отклонено");
    assert!(messages.contains_key("note.answer"));
    assert_eq!(loaded.config.unwrap().language, Language::Ru);
}

#[test]
fn unset_takes_an_inherited_edge_and_a_stop_signal_can_be_switched_off() {
    let mut files = shipped_files();
    let mine = "schema = 1\nextends = \"local\"\n[stop]\nenabled = false\n[stages.review]\npass = []\non.\"verdict.changes\" = \"unset\"\n";
    files.insert("pipelines/mine.toml", mine, "mine");
    let rules = std::sync::Arc::clone(&good(&files).pipelines["mine"]);
    assert!(rules.stages["review"].on.is_empty());
    assert!(!rules.signals.status.contains_key("STOP") && !rules.stop.enabled);
}

#[test]
fn the_example_of_the_documentation_is_right() {
    let text = std::fs::read_to_string(super::root().join("docs/rules.md")).unwrap();
    let (_, rest) = text.split_once("```toml\n").unwrap();
    let mut files = shipped_files();
    files.insert("pipelines/mine.toml", rest.split_once("```").unwrap().0, "docs/rules.md");
    let rules = std::sync::Arc::clone(&good(&files).pipelines["mine"]);
    let edge = &rules.stages["review"].on["verdict.changes"];
    assert_eq!(
        (edge.comment.as_ref(), edge.uses.as_ref()),
        (Some(&Name::new("tests_failed")), Some(&Name::new("rework")))
    );
    assert_eq!(rules.counters["rework"].max, 4);
}

#[test]
fn a_default_branch_of_the_project_s_own_must_be_protected() {
    let config = TWO.replace("default_branch = \"master\"", "default_branch = \"trunk\"");
    let set = "\"agents.*.run\" = [\"./agent.sh\"], \"branch.protected\" = [\"trunk\"] }\n[people]";
    let files = with_projects(&config);
    assert_eq!(load(&files).diagnostics[0].code, codes::UNPROTECTED);
    let mended = config.replace("\"agents.*.run\" = [\"./agent.sh\"] }\n[people]", set);
    let rules = good(&with_projects(&mended));
    assert_eq!(rules.rulesets["enduro"].branch.protected, ["trunk"]);
}

#[test]
#[ignore = "a measurement, not a test: cargo test --release -- --ignored --nocapture a_hundred"]
fn a_hundred_pipelines_are_checked_in_a_second() {
    let mut files = shipped_files();
    let mut config = "schema = 1\n".to_owned();
    for n in 0..100 {
        let own = shipped_files()
            .get("pipelines/orch.toml")
            .unwrap()
            .text
            .replace("schema = 1", "schema = 1\nx-n = 1");
        files.insert(&format!("pipelines/p{n}.toml"), own, format!("pipelines/p{n}.toml"));
        let project = "tracker = { kind = \"local\" }\nset = { \"agents.*.run\" = [\"./agent.sh\"] }\n";
        config += &format!(
            "[projects.p{n}]\npipeline = \"p{n}\"\nprefix = \"P{n}\"\n{project}forge = {{ kind = \"local\", source = \"{n}\" }}\n"
        );
    }
    let begun = std::time::Instant::now();
    assert!(load(&files).diagnostics.is_empty());
    let pipelines = begun.elapsed();
    files.insert("signalbox.toml", config, "signalbox.toml");
    let begun = std::time::Instant::now();
    assert_eq!(good(&files).rulesets.len(), 100);
    println!("100 pipelines {pipelines:?}; with 100 projects on them {:?}", begun.elapsed());
}

/// What holds agents back is switched on in every shipped pipeline, with the values of the reference.
#[test]
fn b_run_5_b_q_7_b_q_8_what_holds_agents_back_is_on_by_default() {
    let loaded = good(&shipped_files());
    for (name, rules) in &loaded.pipelines {
        let budget = Budget {
            run_usd: Some(20.0),
            task_usd: Some(100.0),
            task_runs: None,
            day_usd: Some(300.0),
            day_runs: None,
        };
        assert_eq!(rules.budget, budget, "{name}");
        let limits = Limits {
            failures: 3,
            pause: Millis::secs(300),
        };
        assert_eq!((rules.breaker, rules.no_progress), (Some(limits), Some(3)), "{name}");
        let check = Preflight {
            timeout: Millis::secs(5),
            cache: Millis::secs(45),
        };
        assert_eq!(rules.preflight, Some(check), "{name}");
        assert!(rules.serial_gate.enabled && rules.freeze.is_some(), "{name}");
    }
}

/// Tries, back-off and the time that an agent has, as shipped.
#[test]
fn b_q_4_b_run_4_retries_and_times_are_those_of_the_reference() {
    let loaded = good(&shipped_files());
    for (name, rules) in &loaded.pipelines {
        let retry = &rules.retry;
        assert_eq!((retry.attempts, retry.transient, retry.rescues), (2, 5, 3), "{name}");
        assert_eq!((retry.base, retry.max), (Millis::secs(10), Millis::secs(600)), "{name}");
        assert!(!rules.agents.is_empty(), "{name}");
        for (agent, had) in &rules.agents {
            assert_eq!((had.timeout, had.grace), (Millis::secs(1800), Millis::secs(20)), "{name}: {agent}");
            assert!(!had.share_home, "{name}: {agent}");
        }
    }
}
