//! Agents that work in the flow, each with its whole command.

use std::collections::{BTreeMap, BTreeSet};

use crate::engine::model::Name;

use super::check::Scope;
use super::check_parts::Reached;
use super::codes;
use super::diagnostic::{Problem, quoted};
use super::draft::{AgentDraft, Draft, ProgramDraft};
use super::reader::Sp;
use super::{Agent, Input};

/// Agents that work in the flow.
pub fn agents(draft: &Draft, reached: &Reached, scope: &Scope) -> BTreeMap<Name, Agent> {
    let mut out = BTreeMap::new();
    for name in reached.iter().flat_map(|(_, _, s)| &s.work) {
        let Some(agent) = draft.agents.get(&name.v) else {
            let problem = Problem::error(codes::UNKNOWN_AGENT, &name.at, format!("there is no agent {}", quoted(&name.v)));
            let known = draft.agents.keys().map(String::as_str);
            scope
                .sink
                .push(problem.label("unknown agent").maybe_help(scope.sink.suggest(&name.v, known)));
            continue;
        };
        if let Some(resolved) = agent_of(name, agent, draft, scope) {
            out.insert(name.name(), resolved);
        }
    }
    out
}

fn agent_of(name: &Sp<String>, agent: &Sp<AgentDraft>, draft: &Draft, scope: &Scope) -> Option<Agent> {
    let before = scope.sink.errors();
    let a = &agent.v;
    // Without `prompt`: the one of the agent's own name, else the one for any agent.
    let named = a.prompt.clone().unwrap_or_else(|| name.clone());
    let stand_in = a.prompt.is_none() && !scope.prompts.contains_key(named.v.as_str()) && scope.prompts.contains_key("default");
    let prompt = if stand_in { named.map(|_| "default".to_owned()) } else { named };
    if !scope.prompts.contains_key(prompt.v.as_str()) {
        let known = scope.prompts.keys().map(Name::as_str);
        let problem = Problem::error(
            codes::UNKNOWN_PROMPT,
            &prompt.at,
            format!("there is no prompt {}", quoted(&prompt.v)),
        );
        let problem = if a.prompt.is_none() {
            problem.related(&agent.at, "an agent without `prompt` uses the one of its own name")
        } else {
            problem
        };
        scope.sink.push(
            problem
                .label(format!("prompts/{}.md is missing", prompt.v))
                .maybe_help(scope.sink.suggest(&prompt.v, known)),
        );
    }
    let program = program(a, draft, scope);
    let run = run(a, draft);
    if let (None, None, Some(bound)) = (&run, &a.program, &scope.bound) {
        let words = format!("the agent {} has no command", quoted(&name.v));
        let problem = Problem::error(codes::NO_COMMAND, bound.at, words)
            .label("this project needs it")
            .related(&agent.at, "the agent");
        scope
            .sink
            .push(problem.help("for all agents: set = { \"agents.*.program\" = \"claude\" }, or \"agents.*.run\" = [\"./agent.sh\"]"));
    }
    let input = a.own.input.or(program.and_then(|p| p.input)).unwrap_or(Input::Stdin);
    // What is wrong within the agent alone was found when it was read.
    if let (Input::Argument, None, Some(whole), Some(named)) = (input, &a.own.run, &run, &a.program)
        && !whole.iter().skip(1).any(|arg| arg.contains("{prompt}"))
    {
        let words = "`input` is `argument`, but no argument of the program holds `{prompt}`";
        let problem = Problem::error(codes::PLACEHOLDER, &named.at, words).label("the prompt has no place here");
        scope
            .sink
            .push(problem.help("add one: args = [\"{prompt}\"], or leave `input` to the program"));
    }
    let both = |of: fn(&ProgramDraft) -> &Vec<String>| -> Vec<String> {
        let all: BTreeSet<String> = program.iter().chain([&&a.own]).flat_map(|p| of(p)).cloned().collect();
        all.into_iter().collect()
    };
    (scope.sink.errors() == before).then(|| Agent {
        run: run.unwrap_or_default(),
        prompt: prompt.name(),
        input,
        timeout: a.timeout,
        grace: a.grace,
        writes: a.writes.v.clone(),
        artefacts: a.artefacts.clone().into(),
        env: both(|p| &p.env),
        share_home: a.own.share_home.or(program.and_then(|p| p.share_home)).unwrap_or(false),
        credentials: both(|p| &p.credentials),
        max_concurrency: a.max_concurrency,
        output: a.own.output.or(program.and_then(|p| p.output)).unwrap_or_default(),
    })
}

/// The program that an agent names.
fn program<'a>(agent: &AgentDraft, draft: &'a Draft, scope: &Scope) -> Option<&'a ProgramDraft> {
    let named = agent.program.as_ref()?;
    if let Some(program) = draft.programs.get(&named.v) {
        return Some(&program.v);
    }
    let words = format!("there is no program {}", quoted(&named.v));
    let known = draft.programs.keys().map(String::as_str);
    let problem = Problem::error(codes::UNKNOWN_PROGRAM, &named.at, words).label("unknown program");
    scope.sink.push(problem.maybe_help(scope.sink.suggest(&named.v, known)));
    None
}

/// The command of an agent without its additions: its own, or its program's.
pub fn command<'a>(agent: &'a AgentDraft, draft: &'a Draft) -> Option<&'a Sp<Vec<String>>> {
    let named = agent.program.as_ref().and_then(|p| draft.programs.get(&p.v));
    agent.own.run.as_ref().or(named.and_then(|p| p.v.run.as_ref()))
}

/// The whole command.
fn run(agent: &AgentDraft, draft: &Draft) -> Option<Vec<String>> {
    let run = command(agent, draft)?;
    let args = agent.args.iter().flat_map(|a| &a.v);
    Some(run.v.iter().chain(args).cloned().collect())
}
