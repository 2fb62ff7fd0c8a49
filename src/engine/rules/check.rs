//! From a [`Draft`] to a [`Ruleset`]: names resolve, the flow holds together.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::engine::model::Name;
use crate::engine::script::Scripts;

use super::check_edges::{self, Edges, SIGNALS};
use super::check_gates::gates;
use super::diagnostic::{Place, Problem, Sink, list, nearest, quoted, suggest};
use super::draft::{AgentDraft, Draft, StageDraft};
use super::reader::Sp;
use super::{Action, Agent, Counter, Gate, GateKind, Ruleset, SerialGate, Signals, Stage, StopRules};
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
    /// The same, compiled.
    pub compiled: Scripts,
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
    let branch = branches::check(draft, bound.map(|b| b.prefix), bound.map(|b| b.default_branch), sink);
    let artefacts = artefacts(draft, sink);
    let end = sink_stage(draft, flow, &scope);
    flow_shape(flow, sink);
    let empty = StageDraft::default();
    let reached: Vec<(usize, &Sp<String>, &StageDraft)> =
        flow.iter().enumerate().filter_map(|(i, n)| Some((i, n, find_stage(draft, n, &empty, sink)?))).collect();
    for (i, name, stage) in &reached {
        if *i == 0 || i + 1 == flow.len() {
            must_be_empty(name, stage, draft, sink);
        }
        own_parts(name, stage, draft, sink);
    }
    let asked: Vec<&Sp<String>> = reached.iter().flat_map(|(_, _, s)| &s.pass).collect();
    let gates = gates(draft, &asked, &scope);
    let agents = agents(draft, &reached, &scope);
    ambiguous(draft, &gates, &agents, sink);
    let mut edges = Edges::new(draft, &scope, flow, &gates);
    let mut stages: BTreeMap<Name, Stage> = BTreeMap::new();
    for (i, name, stage) in &reached {
        let on = edges.stage(*i, name, stage);
        stages.insert(name.name(), Stage { on, ..bare(stage) });
    }
    let on = edges.shared();
    let counters = counters(draft, &edges.counters, &scope);
    shown(draft, &reached, &counters, sink);
    let signals = signals(draft, &gates, &scope);
    let serial_gate = serial(draft, &reached, &scope);
    if sink.errors() == before {
        unused(draft, flow, &gates, &agents, &counters, &scope);
    }
    if let Some(stage) = draft.stages.get(end.as_str()) {
        stages.entry(end.clone()).or_insert_with(|| bare(&stage.v));
    }
    let ok = sink.errors() == before;
    let prompts = agents.values().filter_map(|a| scope.prompts.get_key_value(&a.prompt)).map(|(n, t)| (n.clone(), t.clone())).collect();
    ok.then_some(())?;
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
        agents,
        counters,
        on,
        signals,
        retry: draft.retry.clone(),
        serial_gate,
        stop: stop(draft),
        auto: draft.auto.iter().filter(|_| draft.auto_on).map(|(n, a)| (Name::new(n), a.v.clone())).collect(),
        entry: draft.entry.clone(),
        prompts,
        messages: scope.messages.clone(),
        vars: bound.map(|b| b.vars.clone()).unwrap_or_default(),
        scripts: scope.compiled,
    })
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
        let problem = Problem::error(codes::FLOW_ENDS, &end.at, format!("the sink {} is a stage of the flow", quoted(&end.v)));
        scope.sink.push(problem.label("the sink").related(&twin.at, "in the flow").help("sink = \"cancelled\": cancelled tasks stand beside the flow"));
    } else {
        value::check_name(&end.v, &end.at, "a stage", scope.sink);
    }
    end.name()
}

fn flow_shape(flow: &[Sp<String>], sink: &Sink) {
    for (end, due, says) in [(flow.first(), "created", "begin"), (flow.last(), "done", "end")] {
        if let Some(stage) = end.filter(|s| s.v != due) {
            let problem = Problem::error(codes::FLOW_ENDS, &stage.at, format!("`flow` must {says} with {}", quoted(due)));
            sink.push(problem.label(format!("this is {}", quoted(&stage.v))).help("flow = [\"created\", …, \"done\"]"));
        }
    }
    for (i, stage) in flow.iter().enumerate() {
        if let Some(first) = flow[..i].iter().find(|s| s.v == stage.v) {
            let problem = Problem::error(codes::STAGE_TWICE, &stage.at, format!("the stage {} stands twice in `flow`", quoted(&stage.v)));
            sink.push(problem.label("again here").related(&first.at, "first here").help("give the second one a name of its own"));
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
    let help = nearest(&name.v, draft.stages.keys().map(String::as_str)).map(|n| format!("did you mean {}?", quoted(n)));
    sink.push(problem.label("unknown stage").help(help.unwrap_or_else(|| format!("define it: [stages.{}]", name.v))));
    None
}

fn must_be_empty(name: &Sp<String>, stage: &StageDraft, draft: &Draft, sink: &Sink) {
    let at = draft.stages.get(&name.v).map_or(&name.at, |s| &s.at);
    if !(stage.work.is_empty() && stage.pass.is_empty() && stage.actions.is_empty()) {
        let problem = Problem::error(codes::END_STAGE, at, format!("nothing can happen in the stage {}", quoted(&name.v)));
        sink.push(problem.label("has work, gates or actions").help("move them to a stage between `created` and `done`"));
    }
}

/// What a stage says about itself: no part twice, one writer.
fn own_parts(name: &Sp<String>, stage: &StageDraft, draft: &Draft, sink: &Sink) {
    for (list, what) in [(&stage.work, "works"), (&stage.pass, "is asked")] {
        for (i, part) in list.iter().enumerate() {
            if let Some(first) = list[..i].iter().find(|p| p.v == part.v) {
                let words = format!("{} {what} twice in the stage {}", quoted(&part.v), quoted(&name.v));
                let problem = Problem::error(codes::CONFLICT, &part.at, words).label("again here").related(&first.at, "first here");
                sink.push(problem.help("remove one of the two"));
            }
        }
    }
    let writers: Vec<&Sp<String>> =
        stage.work.iter().filter(|a| draft.agents.get(&a.v).is_some_and(|d| !d.v.writes.v.is_empty())).collect();
    if let [first, second, ..] = writers.as_slice() {
        let words = format!("{} and {} both write in the stage {}", quoted(&first.v), quoted(&second.v), quoted(&name.v));
        let problem = Problem::error(codes::TWO_WRITERS, &second.at, words).label("a second writer").related(&first.at, "the first writer");
        sink.push(problem.help("at most one agent of a stage may declare `writes`; give the other one artefacts, or a stage of its own"));
    }
}

fn bare(stage: &StageDraft) -> Stage {
    Stage {
        status: stage.status.as_ref().map(|s| s.v.clone()),
        work: stage.work.iter().map(Sp::name).collect(),
        pass: stage.pass.iter().map(Sp::name).collect(),
        actions: stage.actions.iter().map(|_| Action::Merge).collect(),
        on: BTreeMap::new(),
    }
}

type Reached<'a> = [(usize, &'a Sp<String>, &'a StageDraft)];

fn agents(draft: &Draft, reached: &Reached, scope: &Scope) -> BTreeMap<Name, Agent> {
    let mut out = BTreeMap::new();
    for name in reached.iter().flat_map(|(_, _, s)| &s.work) {
        let Some(agent) = draft.agents.get(&name.v) else {
            let problem = Problem::error(codes::UNKNOWN_AGENT, &name.at, format!("there is no agent {}", quoted(&name.v)));
            let known = draft.agents.keys().map(String::as_str);
            scope.sink.push(problem.label("unknown agent").maybe_help(suggest(&name.v, known)));
            continue;
        };
        if let Some(resolved) = agent_of(name, agent, scope) {
            out.insert(name.name(), resolved);
        }
    }
    out
}

fn agent_of(name: &Sp<String>, agent: &Sp<AgentDraft>, scope: &Scope) -> Option<Agent> {
    let before = scope.sink.errors();
    let a = &agent.v;
    // Without `prompt`: the one of the agent's own name, else the one for any agent.
    let named = a.prompt.clone().unwrap_or_else(|| name.clone());
    let stand_in = a.prompt.is_none() && !scope.prompts.contains_key(named.v.as_str()) && scope.prompts.contains_key("default");
    let prompt = if stand_in { named.map(|_| "default".to_owned()) } else { named };
    if !scope.prompts.contains_key(prompt.v.as_str()) {
        let known = scope.prompts.keys().map(Name::as_str);
        let problem = Problem::error(codes::UNKNOWN_PROMPT, &prompt.at, format!("there is no prompt {}", quoted(&prompt.v)));
        let problem = if a.prompt.is_none() { problem.related(&agent.at, "an agent without `prompt` uses the one of its own name") } else { problem };
        scope.sink.push(problem.label(format!("prompts/{}.md is missing", prompt.v)).maybe_help(suggest(&prompt.v, known)));
    }
    if let (None, Some(bound)) = (&a.run, &scope.bound) {
        let words = format!("the agent {} has no command", quoted(&name.v));
        let problem = Problem::error(codes::NO_COMMAND, bound.at, words).label("this project needs it").related(&agent.at, "the agent");
        scope.sink.push(problem.help("for all agents: set = { \"agents.*.run\" = [\"./agent.sh\"] }"));
    }
    (scope.sink.errors() == before).then(|| Agent {
        run: a.run.as_ref().map(|r| r.v.clone()).unwrap_or_default(),
        prompt: prompt.name(),
        input: a.input,
        timeout: a.timeout,
        grace: a.grace,
        writes: a.writes.v.clone(),
        artefacts: a.artefacts.clone(),
        env: a.env.clone(),
        share_home: a.share_home,
    })
}

/// Jobs are known by the agent's or the gate's name: one name cannot be both.
fn ambiguous(draft: &Draft, gates: &BTreeMap<Name, Gate>, agents: &BTreeMap<Name, Agent>, sink: &Sink) {
    for name in agents.keys().filter(|n| gates.contains_key(*n)) {
        if let (Some(agent), Some(gate)) = (draft.agents.get(name.as_str()), draft.gates.get(name.as_str())) {
            let problem = Problem::error(codes::AMBIGUOUS, &gate.at, format!("{} is the name of an agent and of a gate", quoted(name)));
            sink.push(problem.label("a gate").related(&agent.at, "an agent").help("rename one of the two"));
        }
    }
}

fn counters(draft: &Draft, used: &BTreeSet<String>, scope: &Scope) -> BTreeMap<Name, Counter> {
    let mut out = BTreeMap::new();
    for (name, counter) in draft.counters.iter().filter(|(n, _)| used.contains(*n)) {
        check_edges::spent(&counter.v.spent, scope);
        out.insert(Name::new(name), Counter { max: counter.v.max, spent: check_edges::resolved(&counter.v.spent) });
    }
    out
}

fn shown(draft: &Draft, reached: &Reached, counters: &BTreeMap<Name, Counter>, sink: &Sink) {
    let spent = draft.counters.iter().filter(|(n, _)| counters.contains_key(n.as_str())).filter_map(|(_, c)| c.v.spent.status.as_ref());
    let stages = reached.iter().flat_map(|(_, _, s)| s.status.iter().chain(check_edges::statuses(&s.on)));
    check_edges::check_statuses(draft, stages.chain(check_edges::statuses(&draft.on)).chain(spent), sink);
}

fn signals(draft: &Draft, gates: &BTreeMap<Name, Gate>, scope: &Scope) -> Signals {
    let awaited = |s: &str| {
        let by_gate = gates.values().any(|g| matches!(&g.kind, GateKind::Human { signal, .. } if *signal == *s));
        let key = format!("signal.{s}");
        SIGNALS.contains(&s) || by_gate || draft.on.contains_key(&key) || draft.stages.values().any(|st| st.v.on.contains_key(&key))
    };
    let mut out = Signals::default();
    for (map, what) in [(&draft.statuses, "status"), (&draft.comments, "comment")] {
        let mut seen: BTreeMap<String, &Place> = BTreeMap::new();
        for (key, signal) in map {
            let plain = key.trim().to_lowercase();
            if let Some(first) = seen.insert(plain, &signal.at) {
                let problem = Problem::error(codes::MAPPED_TWICE, &signal.at, format!("the {what} {} is mapped twice", quoted(key)));
                let help = "capital and small letters and outer spaces do not tell them apart; remove one";
                scope.sink.push(problem.label("again here").related(first, "also here").help(help));
            }
            if !awaited(&signal.v.v) {
                if scope.own(&signal.v.at) {
                    let problem = Problem::error(codes::UNKNOWN_SIGNAL, &signal.v.at, format!("nothing awaits the signal {}", quoted(&signal.v.v)));
                    scope.sink.push(problem.label("unknown signal").maybe_help(suggest(&signal.v.v, SIGNALS.iter().copied())));
                }
                continue;
            }
            // STOP switched off takes the board's signal away, not the operator's.
            if signal.v.v == "stop" && !draft.stop.enabled {
                continue;
            }
            match what {
                "status" => drop(out.status.insert(key.trim().to_owned(), signal.v.name())),
                _ if key == "*" => out.other_comment = Some(signal.v.name()),
                _ => out.comment.push((key.clone(), signal.v.name())),
            }
        }
    }
    out.comment.sort_by(|a, b| b.0.len().cmp(&a.0.len()).then_with(|| a.0.cmp(&b.0)));
    out
}

fn serial(draft: &Draft, reached: &Reached, scope: &Scope) -> SerialGate {
    let first = reached.iter().find(|(_, _, s)| !s.work.is_empty()).map(|(_, n, _)| n.v.as_str());
    let mut guards = Vec::new();
    for guard in &draft.guards {
        if Some(guard.v.as_str()) == first {
            guards.push(guard.name());
        } else if let Some((_, stage, _)) = reached.iter().find(|(_, n, _)| n.v == guard.v) {
            let words = format!("the serial gate can guard the first stage with work only, and {} is not that", quoted(&guard.v));
            let problem = Problem::error(codes::GUARD, &guard.at, words).label("not the first one").related(&stage.at, "it stands here");
            scope.sink.push(problem.help(first.map_or_else(|| "guards = []".to_owned(), |f| format!("guards = [\"{f}\"]"))));
        } else if scope.own(&guard.at) {
            let problem = Problem::error(codes::UNKNOWN_STAGE, &guard.at, format!("the flow has no stage {}", quoted(&guard.v)));
            scope.sink.push(problem.label("unknown stage").maybe_help(suggest(&guard.v, reached.iter().map(|(_, n, _)| n.v.as_str()))));
        }
    }
    // What was inherited and does not fit this flow means its counterpart here.
    if guards.is_empty() {
        guards.extend(first.map(Name::new));
    }
    SerialGate { enabled: draft.serial, guards }
}

fn stop(draft: &Draft) -> StopRules {
    let does = |step: &str| draft.stop.clean_up.contains(&step);
    StopRules {
        enabled: draft.stop.enabled,
        critical: draft.stop.critical.iter().map(|(n, s)| (Name::new(n), s.v)).collect(),
        archive: does("archive"),
        checkout: does("checkout"),
        branch: does("branch"),
    }
}

/// Definitions of the pipeline's own file that it never uses: probably a forgotten word in `flow`.
fn unused(
    draft: &Draft,
    flow: &[Sp<String>],
    gates: &BTreeMap<Name, Gate>,
    agents: &BTreeMap<Name, Agent>,
    counters: &BTreeMap<Name, Counter>,
    scope: &Scope,
) {
    let asked = |auto: &str| draft.gates.values().any(|g| matches!(&g.v.0, Some(super::draft::KindDraft::Human { auto: Some(a), .. }) if a.v == auto));
    let end = draft.sink.as_ref().map_or("cancelled", |s| s.v.as_str());
    let stages = draft.stages.iter().filter(|(n, _)| n.as_str() != end && !flow.iter().any(|s| s.v == **n)).map(|(n, s)| ("stage", n, &s.at));
    let gates = draft.gates.iter().filter(|(n, _)| !gates.contains_key(n.as_str())).map(|(n, s)| ("gate", n, &s.at));
    let agents = draft.agents.iter().filter(|(n, _)| !agents.contains_key(n.as_str())).map(|(n, s)| ("agent", n, &s.at));
    let counters = draft.counters.iter().filter(|(n, _)| !counters.contains_key(n.as_str())).map(|(n, s)| ("counter", n, &s.at));
    let auto = draft.auto.iter().filter(|(n, _)| !asked(n)).map(|(n, s)| ("standing order", n, &s.at));
    for (what, name, at) in stages.chain(gates).chain(agents).chain(counters).chain(auto).filter(|(_, _, at)| at.file == scope.file) {
        let problem = Problem::warning(codes::UNUSED, at, format!("the {what} {} is never used", quoted(name)));
        let help = if what == "stage" {
            format!("add it to `flow`, or remove it; the flow is {}", list(&flow.iter().map(|s| s.v.as_str()).collect::<Vec<_>>()))
        } else {
            "use it or remove it; an unfinished one may stand under a key that begins with `x-`".to_owned()
        };
        scope.sink.push(problem.label("never used").help(help));
    }
}
