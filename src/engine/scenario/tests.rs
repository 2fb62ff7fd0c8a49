use super::*;
use crate::engine::rules::load;
use crate::shell::embedded::embedded;

fn loaded() -> Loaded {
    let loaded = load(&embedded());
    assert!(!loaded.failed());
    loaded
}

/// Plays one story about `local`; its finding.
fn told(given: &str, steps: &str) -> Option<Finding> {
    let text = format!("pipeline = \"local\"\n[[scenario]]\nname = \"x\"\ngiven = {{ {given} }}\nsteps = [\n{steps}\n]\n");
    let mut report = play(&loaded(), "x.toml", &text, &mut BTreeMap::new());
    assert_eq!(report.broken, None);
    report.scenarios.remove(0).finding
}

/// The line, from the first step on, and the message of what is wrong.
fn wrong(given: &str, steps: &str) -> (usize, String) {
    let finding = told(given, steps).expect("something is wrong");
    (finding.line - 5, finding.message)
}

#[test]
fn every_name_must_mean_something() {
    let cases = [
        ("", "{ agent = \"develper\", expect = {} }", "no agent `develper`; did you mean"),
        (
            "",
            "{ agent = \"reviewer\", expect = {} }",
            "`reviewer` is not at work at stage `development`; at work: developer",
        ),
        ("", "{ agent = \"developer\", outcome = \"rad\", expect = {} }", "did you mean"),
        (
            "",
            "{ agent = \"developer\", expect = { stage = \"revue\" } }",
            "no stage `revue`; did you mean",
        ),
        ("", "{ gate = \"verdct\", outcome = \"ok\", expect = {} }", "no gate `verdct`"),
        (
            "",
            "{ gates = { verdict = \"chances\" }, expect = {} }",
            "no outcome of gate `verdict` `chances`",
        ),
        (
            "",
            "{ gates = { verdict = \"changes\" }, expect = {} }",
            "gate `forge_review` was not asked: the task is at stage `development`",
        ),
        (
            "stage = \"deploy\"",
            "{ gate = \"confirmed\", expect = {} }",
            "asks a person: tell who says it, person = \"confirm_deploy\"",
        ),
        ("", "{ person = \"aprove\", expect = {} }", "no signal `aprove`; did you mean"),
        ("", "{ person = \"approve\", as = \"boss\", expect = {} }", "no role `boss`"),
        ("", "{ action = \"merge\", expect = {} }", "no action is under way"),
        (
            "stage = \"deploy\", labels = [\"auto:deploy\"]",
            "{ action = \"merge\", outcome = \"conflct\", expect = {} }",
            "did you mean",
        ),
        (
            "stage = \"deploy\", labels = [\"auto:deploy\"]",
            "{ action = \"update\", expect = {} }",
            "no action under way `update`",
        ),
        ("", "{ after = \"soon\", expect = {} }", "`soon` is no duration"),
        ("", "{ push = \"force\", expect = {} }", "no kind of push `force`"),
        ("", "{ cleaned_up = true, expect = {} }", "nothing is being cleaned up"),
        ("", "{ expect = { counters = { rewrk = 1 } } }", "no counter `rewrk`; did you mean"),
        ("", "{ expect = { jobs = [\"builder\"] } }", "no agent `builder`"),
        ("", "{ expect = { mode = \"paused\" } }", "no mode `paused`"),
        (
            "",
            "{ person = \"stop\", agent = \"developer\", expect = {} }",
            "a step tells one thing",
        ),
        ("", "{ says = \"hm\" }, { expect = {} }", "nothing happens in this step"),
        ("counters = { rewrk = 1 }", "{ expect = {} }", "no counter `rewrk`"),
        ("stage = \"deply\"", "{ expect = {} }", "no stage `deply`"),
        ("", "{ agent = \"developer\" }", "it expects nothing"),
    ];
    for (given, steps, part) in cases {
        let finding = told(given, steps).unwrap_or_else(|| panic!("{steps}: passed"));
        assert!(finding.message.contains(part), "{steps}: {}", finding.message);
    }
}

#[test]
fn every_expectation_can_fail_and_names_its_line() {
    let cases = [
        ("stage = \"review\"", "expected stage `review`, it is `development`"),
        ("phase = \"done\"", "expected phase `done`, it is `live`"),
        ("mode = \"question\"", "expected mode `question`, it is `active`"),
        ("at = \"gates\"", "expected at `gates`, it is `work`"),
        ("stop = \"cleaning\"", "expected stop `cleaning`, it is `no`"),
        ("status = \"Done\"", "expected status on the board `Done`, it is `Development`"),
        ("jobs = []", "expected jobs nothing, it is `developer`"),
        ("action = \"merge\"", "expected action under way `merge`, it is nothing"),
        ("counters.rework = 2", "expected counter `rework` `2`, it is `0`"),
        (
            "comment = \"is merged\"",
            "expected a comment with `is merged`; there is: **TASK-001**",
        ),
        ("note = \"fix\"", "expected a note for the agents with `fix`; there is none"),
        ("waits = \"ci\"", "expected that it waits for `ci`, it waits for ``"),
        ("alert = true", "expected an alert; the operators were told nothing"),
        ("frozen = true", "expected frozen `true`, it is `false`"),
    ];
    for (expected, message) in cases {
        let (line, found) = wrong("", &format!("\n{{ expect = {{ {expected} }} }}"));
        assert_eq!(line, 2, "{expected}: {found}");
        assert!(found.contains(message), "{expected}: {found}");
    }
    assert_eq!(
        told(
            "",
            "{ expect = { alert = false, note = \"\", waits = \"\", frozen = false, stop = \"no\" } }"
        ),
        None
    );
}

#[test]
fn a_verdict_of_one_is_kept_while_the_other_is_at_work() {
    let text = "pipeline = \"docs\"\n[[scenario]]\nname = \"x\"\ngiven = { stage = \"review\" }\nsteps = [\n\
                { agent = \"style\", outcome = \"changes\" },\n{ agent = \"accuracy\", expect = { stage = \"cooling\" } },\n]\n";
    let report = play(&loaded(), "x.toml", text, &mut BTreeMap::new());
    let finding = report.scenarios[0].finding.as_ref().expect("the first verdict counts");
    assert!(finding.line == 7 && finding.message.contains("it is `draft`"), "{finding:?}");
    assert!(
        finding.happened.iter().any(|l| l.contains("`style_ok.changes` leads to draft")),
        "{finding:?}"
    );
}

#[test]
fn two_people_make_a_quorum_and_one_does_not() {
    let mut files = embedded();
    files.insert(
        "pipelines/two.toml",
        "schema = 1\nextends = \"local\"\n[gates.confirmed]\nhuman = { quorum = 2 }\n",
        "two",
    );
    let steps = "{ person = \"confirm_deploy\", expect = { at = \"gates\" } },\n{ person = \"confirm_deploy\", expect = { at = \"gates\" } },\n\
                 { person = \"confirm_deploy\", who = \"bob\", expect = { action = \"merge\" } },";
    let text = format!("pipeline = \"two\"\n[[scenario]]\nname = \"x\"\ngiven = {{ stage = \"deploy\" }}\nsteps = [\n{steps}\n]\n");
    let report = play(&load(&files), "x.toml", &text, &mut BTreeMap::new());
    assert_eq!(report.scenarios[0].finding, None);
}

#[test]
fn a_broken_file_is_one_finding_with_its_line() {
    let broken = |text: &str| play(&loaded(), "x.toml", text, &mut BTreeMap::new()).broken.expect("broken");
    assert_eq!(broken("pipeline = \"local\"\n[[scenario]\n").line, 2);
    let finding = broken("pipeline = \"local\"\n[[scenario]]\nname = \"x\"\nstep = []\n");
    assert!(finding.line == 4 && finding.message.contains("unknown field `step`"), "{finding:?}");
    assert!(
        broken("pipeline = \"lokal\"\n[[scenario]]\nname = \"x\"\n")
            .message
            .contains("did you mean")
    );
    assert!(broken("[[scenario]]\nname = \"x\"\n").message.contains("pipeline = "));
    assert!(broken("pipeline = \"local\"\n").message.contains("no [[scenario]]"));
}

#[test]
fn the_shipped_stories_go_as_told_and_visit_every_edge() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/rules");
    let loaded = loaded();
    let mut visited = BTreeMap::new();
    for name in loaded.pipelines.keys() {
        let text = std::fs::read_to_string(folder.join(format!("{name}.toml"))).expect("each pipeline has its stories");
        let report = play(&loaded, name, &text, &mut visited);
        let bad: Vec<_> = report.scenarios.iter().filter(|s| s.finding.is_some()).collect();
        assert!(report.passed(), "{:#?}{bad:#?}", report.broken);
    }
    for (name, rules) in &loaded.pipelines {
        let coverage = visited[name].coverage(rules);
        assert_eq!(coverage.edges.missing, Vec::<String>::new(), "{name}");
        if name != "enduro" {
            // What `enduro` shares with `orch` is told there.
            assert_eq!(
                (coverage.outcomes.missing, coverage.stops.missing),
                (Vec::new(), Vec::new()),
                "{name}"
            );
        }
    }
}
