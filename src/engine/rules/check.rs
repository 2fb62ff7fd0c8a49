//! From a [`Draft`] to a [`Ruleset`]: names resolve, the flow holds together.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::engine::model::Name;
use crate::engine::script::Scripts;

use super::check_agents::agents;
use super::check_artefacts;
use super::check_classify::classifier;
use super::check_edges::Edges;
use super::check_flow;
use super::check_gates::gates;
use super::check_parts::{ambiguous, counters, counters_fit, serial, shown, signals, stop, unused};
use super::check_texts;
use super::diagnostic::{Place, Problem, Sink, quoted};
use super::draft::{Draft, StageDraft};
use super::invariant::invariants;
use super::reader::Sp;
use super::{Action, Agent, AutoRule, Ruleset, Stage};
use super::{branches, codes, value};

/// What a pipeline is checked with.
pub struct Scope<'a> {
    /// Where findings go.
    pub sink: &'a Sink<'a>,
    /// Texts in the project's language, `section.key` → template.
    pub messages: &'a BTreeMap<Name, String>,
    /// Prompts by name.
    pub prompts: &'a BTreeMap<Name, String>,
    /// Scripts by file name.
    pub scripts: &'a BTreeMap<String, String>,
    /// The same, compiled; those that cannot be are left out, and were reported.
    pub compiled: Scripts,
    /// Whether everything could be read; else what is unused may only be misread.
    pub clean: bool,
    /// Whether a project uses the pipeline: what depends on a project is judged there.
    pub used: bool,
    /// The pipeline's own file.
    pub file: Arc<str>,
    /// The project, where the pipeline is bound to one.
    pub bound: Option<Bound<'a>>,
}

/// The project that a pipeline is bound to.
pub struct Bound<'a> {
    /// Work item id prefix.
    pub prefix: &'a str,
    /// Default branch of the repository.
    pub default_branch: &'a str,
    /// Free values for templates.
    pub vars: &'a BTreeMap<String, String>,
    /// Where the project's name stands.
    pub at: &'a Place,
}

impl Scope<'_> {
    /// Whether this was written for the pipeline itself, not inherited.
    pub fn own(&self, at: &Place) -> bool {
        at.file == self.file || (self.bound.is_some() && &*at.file == "signalbox.toml")
    }
}

/// Checks a pipeline that has a flow. `None` when there were errors.
pub fn ruleset(draft: &Draft, flow: &[Sp<String>], scope: Scope<'_>) -> Option<Ruleset> {
    let sink = scope.sink;
    let before = sink.errors();
    let bound = scope.bound.as_ref();
    let branch = if bound.is_none() && scope.used {
        branches::unjudged(draft)
    } else {
        branches::check(draft, bound.map(|b| b.prefix), bound.map(|b| b.default_branch), sink)
    };
    let artefacts = artefacts(draft, sink);
    let end = sink_stage(draft, flow, &scope);
    let sound = sink.errors();
    flow_shape(flow, sink);
    let empty = StageDraft::default();
    let reached = reach(draft, flow, &empty, sink);
    // On a broken flow, findings about edges would only repeat it.
    let sound = sink.errors() == sound;
    for (i, name, stage) in &reached {
        if sound && (*i == 0 || i + 1 == flow.len()) {
            must_be_empty(name, stage, draft, sink);
        }
        own_parts(name, stage, draft, sink);
    }
    let asked: Vec<&Sp<String>> = reached.iter().flat_map(|(_, _, s)| &s.pass).collect();
    let gates = gates(draft, &asked, &scope);
    let agents = agents(draft, &reached, &scope);
    let classify = classifier(draft, &scope);
    ambiguous(draft, &gates, &agents, sink);
    check_flow::all(draft, &reached, &gates, &scope);
    let mut edges = Edges::new(draft, &scope, flow, &gates);
    let mut stages: BTreeMap<Name, Stage> = BTreeMap::new();
    stages.extend(draft.stages.get(end.as_str()).map(|s| (end.clone(), bare(&s.v))));
    for (i, name, stage) in reached.iter().filter(|_| sound) {
        let on = edges.stage(*i, name, stage);
        stages.insert(name.name(), Stage { on, ..bare(stage) });
    }
    let on = if sound { edges.shared() } else { BTreeMap::new() };
    counters_fit(draft, &edges.counters, &scope);
    let counters = counters(draft, &edges.counters, &scope);
    shown(draft, &reached, &counters, sink);
    let signals = signals(draft, &gates, &scope);
    let serial_gate = serial(draft, &reached, &scope);
    let invariants = invariants(draft, flow, &gates, &scope);
    let shown_by = stages.values().flat_map(|s| s.on.values()).chain(on.values());
    check_texts::variables(agents.values(), shown_by.chain(counters.values().map(|c| &c.spent)), &scope);
    if scope.clean && sink.errors() == before {
        check_artefacts::written(draft, &reached, &scope);
        unused(draft, flow, &gates, &agents, &counters, &scope);
    }
    if sink.errors() != before {
        return None;
    }
    Some(Ruleset {
        pipeline: Name::new(scope.file.trim_start_matches("pipelines/").trim_end_matches(".toml")),
        hash: String::new(),
        prefix: bound.map_or_else(String::new, |b| b.prefix.to_owned()),
        artefacts: artefacts?,
        branch: branch?,
        flow: flow.iter().map(Sp::name).collect(),
        sink: end,
        stages,
        gates,
        counters,
        on,
        signals,
        retry: draft.retry.clone(),
        breaker: draft.breaker,
        preflight: draft.preflight,
        budget: draft.budget,
        no_progress: draft.no_progress,
        classify,
        serial_gate,
        freeze: draft.freeze,
        depends: draft.depends.clone(),
        stop: stop(draft),
        auto: auto(draft),
        entry: draft.entry.clone(),
        invariants,
        prompts: prompts(&agents, &scope),
        agents,
        messages: scope.messages.clone(),
        vars: bound.map(|b| b.vars.clone()).unwrap_or_default(),
        scripts: scope.compiled,
    })
}

/// The prompts of these agents.
fn prompts(agents: &BTreeMap<Name, Agent>, scope: &Scope) -> BTreeMap<Name, String> {
    let named = agents.values().map(|a| &a.prompt);
    named.filter_map(|p| Some((p.clone(), scope.prompts.get(p)?.clone()))).collect()
}

/// Standing orders; none where they are switched off.
fn auto(draft: &Draft) -> BTreeMap<Name, AutoRule> {
    let on = draft.auto.iter().filter(|_| draft.auto_on);
    on.map(|(n, a)| (Name::new(n), a.v.clone())).collect()
}

/// The stages of the flow with their places in it; unknown ones are reported and left out.
fn reach<'a>(draft: &'a Draft, flow: &'a [Sp<String>], empty: &'a StageDraft, sink: &Sink) -> Vec<(usize, &'a Sp<String>, &'a StageDraft)> {
    let found = flow
        .iter()
        .enumerate()
        .map(|(i, n)| Some((i, n, find_stage(draft, n, empty, sink)?)));
    found.flatten().collect()
}

fn artefacts(draft: &Draft, sink: &Sink) -> Option<String> {
    let Some(template) = &draft.artefacts else {
        let problem = Problem::error(codes::MISSING_KEY, &draft.at, "the pipeline needs `artefacts`").label("`artefacts` is missing");
        sink.push(problem.help("artefacts = \"docs/work-items/{id}\""));
        return None;
    };
    let good = value::check_path(template, "the checkout", sink) && value::check_placeholders(template, &["id"], sink);
    if good && !template.v.split('/').any(|part| part.contains("{id}")) {
        let problem = Problem::error(codes::PLACEHOLDER, &template.at, "two tasks would share their artefacts").label("`{id}` is missing");
        sink.push(problem.help("artefacts = \"docs/work-items/{id}\""));
        return None;
    }
    good.then(|| template.v.clone())
}

fn sink_stage(draft: &Draft, flow: &[Sp<String>], scope: &Scope) -> Name {
    let Some(end) = &draft.sink else { return Name::new("cancelled") };
    if let Some(twin) = flow.iter().find(|s| s.v == end.v) {
        let problem = Problem::error(
            codes::FLOW_ENDS,
            &end.at,
            format!("the sink {} is a stage of the flow", quoted(&end.v)),
        );
        scope.sink.push(
            problem
                .label("the sink")
                .related(&twin.at, "in the flow")
                .help("sink = \"cancelled\": cancelled tasks stand beside the flow"),
        );
    } else {
        value::check_name(&end.v, &end.at, "a stage", scope.sink);
    }
    end.name()
}

fn flow_shape(flow: &[Sp<String>], sink: &Sink) {
    for (end, due, says) in [(flow.first(), "created", "begin"), (flow.last(), "done", "end")] {
        if let Some(stage) = end.filter(|s| s.v != due) {
            let problem = Problem::error(codes::FLOW_ENDS, &stage.at, format!("`flow` must {says} with {}", quoted(due)));
            sink.push(
                problem
                    .label(format!("this is {}", quoted(&stage.v)))
                    .help("flow = [\"created\", …, \"done\"]"),
            );
        }
    }
    for (i, stage) in flow.iter().enumerate() {
        if let Some(first) = flow[..i].iter().find(|s| s.v == stage.v) {
            let problem = Problem::error(
                codes::STAGE_TWICE,
                &stage.at,
                format!("the stage {} stands twice in `flow`", quoted(&stage.v)),
            );
            sink.push(
                problem
                    .label("again here")
                    .related(&first.at, "first here")
                    .help("give the second one a name of its own"),
            );
        }
    }
}

fn find_stage<'a>(draft: &'a Draft, name: &Sp<String>, empty: &'a StageDraft, sink: &Sink) -> Option<&'a StageDraft> {
    if let Some(stage) = draft.stages.get(&name.v) {
        return Some(&stage.v);
    }
    if name.v == "created" || name.v == "done" {
        return Some(empty);
    }
    let problem = Problem::error(codes::UNKNOWN_STAGE, &name.at, format!("there is no stage {}", quoted(&name.v)));
    let help = sink
        .nearest(&name.v, draft.stages.keys().map(String::as_str))
        .map(|n| format!("did you mean {}?", quoted(n)));
    sink.push(
        problem
            .label("unknown stage")
            .help(help.unwrap_or_else(|| format!("define it: [stages.{}]", name.v))),
    );
    None
}

fn must_be_empty(name: &Sp<String>, stage: &StageDraft, draft: &Draft, sink: &Sink) {
    let at = draft.stages.get(&name.v).map_or(&name.at, |s| &s.at);
    if !(stage.work.is_empty() && stage.pass.is_empty() && stage.actions.is_empty()) {
        let problem = Problem::error(codes::END_STAGE, at, format!("nothing can happen in the stage {}", quoted(&name.v)));
        sink.push(
            problem
                .label("has work, gates or actions")
                .help("move them to a stage between `created` and `done`"),
        );
    }
}

/// What a stage says about itself: no part twice, one writer.
fn own_parts(name: &Sp<String>, stage: &StageDraft, draft: &Draft, sink: &Sink) {
    for (list, what) in [(&stage.work, "works"), (&stage.pass, "is asked")] {
        for (i, part) in list.iter().enumerate() {
            if let Some(first) = list[..i].iter().find(|p| p.v == part.v) {
                let words = format!("{} {what} twice in the stage {}", quoted(&part.v), quoted(&name.v));
                let problem = Problem::error(codes::CONFLICT, &part.at, words)
                    .label("again here")
                    .related(&first.at, "first here");
                sink.push(problem.help("remove one of the two"));
            }
        }
    }
    let writers: Vec<&Sp<String>> = stage
        .work
        .iter()
        .filter(|a| draft.agents.get(&a.v).is_some_and(|d| !d.v.writes.v.is_empty()))
        .collect();
    if let [first, second, ..] = writers.as_slice() {
        let words = format!(
            "{} and {} both write in the stage {}",
            quoted(&first.v),
            quoted(&second.v),
            quoted(&name.v)
        );
        let problem = Problem::error(codes::TWO_WRITERS, &second.at, words)
            .label("a second writer")
            .related(&first.at, "the first writer");
        sink.push(problem.help("at most one agent of a stage may declare `writes`; give the other one artefacts, or a stage of its own"));
    }
}

fn bare(stage: &StageDraft) -> Stage {
    Stage {
        status: stage.status.as_ref().map(|s| s.v.clone()),
        work: stage.work.iter().map(Sp::name).collect(),
        pass: stage.pass.iter().map(Sp::name).collect(),
        // Hooks have been refused: no ruleset is made of a pipeline that has some.
        actions: stage.actions.iter().filter(|a| a.v == "merge").map(|_| Action::Merge).collect(),
        on: BTreeMap::new(),
    }
}
