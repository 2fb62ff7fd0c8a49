//! Gates resolved: what each reads, and how it can come out.

use std::collections::{BTreeMap, BTreeSet};

use crate::engine::model::{FactKey, Name};

use super::check::Scope;
use super::check_artefacts;
use super::check_scripts;
use super::codes;
use super::diagnostic::{Problem, quoted};
use super::draft::{ClauseDraft, Draft, KindDraft};
use super::plug;
use super::reader::Sp;
use super::{FilesClause, Gate, GateKind};

/// Gates that stages ask, directly or through another gate.
pub fn gates(draft: &Draft, asked: &[&Sp<String>], scope: &Scope) -> BTreeMap<Name, Gate> {
    let mut walk = Walk {
        draft,
        scope,
        done: BTreeMap::new(),
        under_way: Vec::new(),
    };
    for name in asked {
        walk.visit(name);
    }
    walk.done.into_iter().filter_map(|(name, gate)| Some((name, gate?))).collect()
}

struct Walk<'a> {
    draft: &'a Draft,
    scope: &'a Scope<'a>,
    /// `None` where a gate was found wrong: each is said once.
    done: BTreeMap<Name, Option<Gate>>,
    under_way: Vec<String>,
}

impl Walk<'_> {
    fn visit(&mut self, name: &Sp<String>) -> Option<Gate> {
        if let Some(gate) = self.done.get(name.v.as_str()) {
            return gate.clone();
        }
        let sink = self.scope.sink;
        let Some(draft) = self.draft.gates.get(&name.v) else {
            let problem = Problem::error(codes::UNKNOWN_GATE, &name.at, format!("there is no gate {}", quoted(&name.v)));
            sink.push(
                problem
                    .label("unknown gate")
                    .maybe_help(sink.suggest(&name.v, self.draft.gates.keys().map(String::as_str))),
            );
            return None;
        };
        if self.under_way.contains(&name.v) || self.under_way.len() > 32 {
            let ring = self.under_way.join("` → `");
            let problem = Problem::error(
                codes::GATE_CYCLE,
                &name.at,
                format!("gates are made of one another: `{ring}` → {}", quoted(&name.v)),
            );
            sink.push(problem.label("leads back").related(&draft.at, "this gate"));
            return None;
        }
        self.under_way.push(name.v.clone());
        let gate = draft.v.0.as_ref().and_then(|kind| self.resolve(kind));
        self.under_way.pop();
        self.done.insert(name.name(), gate.clone());
        gate
    }

    fn resolve(&mut self, kind: &KindDraft) -> Option<Gate> {
        match kind {
            KindDraft::FirstOf(names) => self.compose(names, true),
            KindDraft::AllOf(names) => self.compose(names, false),
            other => simple(other, self.draft, self.scope),
        }
    }

    /// A gate made of others: what any of them reads, and how any of them can come out — except
    /// that `none` makes `first_of` ask the next, so only its last member can answer it.
    fn compose(&mut self, names: &[Sp<String>], first: bool) -> Option<Gate> {
        let members: Vec<Option<Gate>> = names.iter().map(|n| self.visit(n)).collect();
        let members = members.into_iter().collect::<Option<Vec<Gate>>>()?;
        let mut reads = BTreeSet::new();
        let (mut outcomes, mut waits) = (BTreeSet::new(), BTreeSet::new());
        for (i, member) in members.iter().enumerate() {
            let passed_on = |o: &Name| first && i + 1 < members.len() && *o == "none";
            reads.extend(member.reads.iter().cloned());
            outcomes.extend(member.outcomes.iter().filter(|o| !passed_on(o)).cloned());
            waits.extend(member.waits.iter().cloned());
        }
        let names = names.iter().map(Sp::name).collect();
        Some(Gate {
            kind: if first { GateKind::FirstOf(names) } else { GateKind::AllOf(names) },
            reads: reads.into_iter().collect(),
            outcomes: outcomes.into_iter().collect(),
            waits: waits.into_iter().collect(),
        })
    }
}

fn make(kind: GateKind, reads: Vec<FactKey>, outcomes: Vec<&str>, waits: &[&str]) -> Gate {
    let names: BTreeSet<Name> = outcomes.into_iter().filter(|o| *o != "ok").map(Name::new).collect();
    Gate {
        kind,
        reads,
        outcomes: names.into_iter().collect(),
        waits: waits.iter().map(|w| Name::new(w)).collect(),
    }
}

/// A gate that is not made of others.
fn simple(kind: &KindDraft, draft: &Draft, scope: &Scope) -> Option<Gate> {
    Some(match kind {
        KindDraft::Files(clauses) => {
            let outcomes = clauses.iter().map(|c| match c {
                ClauseDraft::Any(_, o) | ClauseDraft::All(_, o) | ClauseDraft::Else(o) => o.v.as_str(),
            });
            make(
                GateKind::Files(clauses.iter().map(clause).collect()),
                vec![FactKey::Files],
                outcomes.collect(),
                &[],
            )
        }
        KindDraft::Frontmatter { file, key, map } => {
            let outcomes = map.values().map(|o| o.v.as_str()).chain(["unreadable"]).collect();
            let names = map.iter().map(|(value, o)| (value.clone(), o.name())).collect();
            let kind = GateKind::Frontmatter {
                file: file.v.clone(),
                key: key.clone(),
                map: names,
            };
            make(kind, vec![FactKey::Frontmatter(file.v.clone())], outcomes, &[])
        }
        KindDraft::Script {
            function,
            reads,
            args,
            returns,
        } => {
            check_function(function, reads, scope)?;
            check_scripts::check(function, reads, returns, scope);
            check_artefacts::arguments(function, args, scope);
            let outcomes = returns.iter().map(|o| o.v.as_str()).chain(["error"]).collect();
            let facts: BTreeSet<FactKey> = reads.values().cloned().collect();
            let kind = GateKind::Script {
                function: function.name(),
                reads: reads.clone(),
                args: args.clone(),
            };
            make(kind, facts.into_iter().collect(), outcomes, &[])
        }
        other => world(other, draft, scope)?,
    })
}

/// Gates that look beyond artefacts: at the forge, a command, a person, the clock.
fn world(kind: &KindDraft, draft: &Draft, scope: &Scope) -> Option<Gate> {
    Some(match kind {
        KindDraft::Checks(contexts) => make(
            GateKind::Checks {
                contexts: contexts.clone(),
            },
            vec![FactKey::Checks],
            vec!["red", "none"],
            &["pending"],
        ),
        KindDraft::Review(changes) => make(
            GateKind::Review { changes: changes.name() },
            vec![FactKey::Reviews],
            vec![&changes.v],
            &["waiting"],
        ),
        KindDraft::Mergeable => make(GateKind::Mergeable, vec![FactKey::Mergeable], vec!["conflict", "behind"], &[]),
        KindDraft::Command {
            run,
            timeout,
            env,
            share_home,
        } => make(
            GateKind::Command {
                run: run.clone(),
                timeout: *timeout,
                env: env.clone(),
                share_home: *share_home,
            },
            vec![],
            vec!["red"],
            &["pending"],
        ),
        KindDraft::Human {
            signal,
            from,
            quorum,
            auto,
        } => human(signal, from, *quorum, auto.as_ref(), draft, scope)?,
        KindDraft::Wait { span, restart } => {
            let reads = if *restart { vec![FactKey::Head] } else { vec![] };
            make(
                GateKind::Wait {
                    span: *span,
                    restart_on_move: *restart,
                },
                reads,
                vec![],
                &["pending"],
            )
        }
        _ => return None,
    })
}

fn clause(c: &ClauseDraft) -> FilesClause {
    match c {
        ClauseDraft::Any(patterns, o) => FilesClause::Any(patterns.clone().into(), o.name()),
        ClauseDraft::All(patterns, o) => FilesClause::All(patterns.clone().into(), o.name()),
        ClauseDraft::Else(o) => FilesClause::Else(o.name()),
    }
}

/// Signals that mean something wherever a task stands: none of them passes a gate.
const OWN: [&str; 4] = ["start", "stop", "reject", "answer"];

fn human(signal: &Sp<String>, from: &str, quorum: u32, auto: Option<&Sp<String>>, draft: &Draft, scope: &Scope) -> Option<Gate> {
    if OWN.contains(&signal.v.as_str()) {
        let words = format!("{} is a signal of the engine's own: it cannot pass a gate", quoted(&signal.v));
        let problem = Problem::error(codes::OWN_SIGNAL, &signal.at, words).label("means something else");
        scope
            .sink
            .push(problem.help("wait for `approve`, `confirm_deploy` or a signal of your own"));
        return None;
    }
    let sources = || draft.statuses.values().chain(draft.comments.values());
    if !sources().any(|s| s.v.v == signal.v) {
        let words = format!("no status and no comment produces the signal {}", quoted(&signal.v));
        let known: Vec<&str> = sources().map(|s| s.v.v.as_str()).collect();
        let near = scope.sink.nearest(&signal.v, known).map(|n| format!("did you mean {}?", quoted(n)));
        let help = near.unwrap_or_else(|| format!("map one: [signals.status] \"Name on the board\" = \"{}\"", signal.v));
        scope.sink.push(
            Problem::error(codes::MUTE_GATE, &signal.at, words)
                .label("nobody can pass this gate")
                .help(help),
        );
        return None;
    }
    if let Some(auto) = auto
        && !draft.auto.contains_key(&auto.v)
    {
        let problem = Problem::error(codes::UNKNOWN_AUTO, &auto.at, format!("`auto` has no entry {}", quoted(&auto.v)));
        let help = scope.sink.suggest(&auto.v, draft.auto.keys().map(String::as_str));
        let help = help.unwrap_or_else(|| format!("add [auto] {} = {{ label = \"auto:{}\" }}", auto.v, auto.v));
        scope.sink.push(problem.label("unknown standing order").help(help));
        return None;
    }
    let auto = auto.filter(|_| draft.auto_on).map(Sp::name);
    // The label is read from the issue; an approval is bound to the head it was given for.
    let reads = vec![FactKey::Issue, FactKey::Head];
    let kind = GateKind::Human {
        signal: signal.name(),
        from: Name::new(from),
        quorum,
        auto,
    };
    Some(make(kind, reads, vec![], &["waiting"]))
}

fn check_function(function: &Sp<String>, reads: &BTreeMap<String, FactKey>, scope: &Scope) -> Option<()> {
    let unknown = |words: String, help: Option<String>| {
        let problem = Problem::error(codes::UNKNOWN_SCRIPT, &function.at, words).label("unknown function");
        scope.sink.push(problem.maybe_help(help));
    };
    let Some((file, name)) = function.v.split_once("::") else {
        unknown(
            format!("{} names no function", quoted(&function.v)),
            Some("file and function: \"staging.rhai::verdict\"".to_owned()),
        );
        return None;
    };
    if !scope.scripts.contains_key(file) {
        let help = scope
            .sink
            .suggest(file, scope.scripts.keys().map(String::as_str))
            .or_else(|| Some("scripts lie in rules/".to_owned()));
        unknown(format!("there is no script {}", quoted(file)), help);
        return None;
    }
    // A script that cannot be compiled has been reported itself.
    if !scope.compiled.files().any(|f| f == file) {
        return None;
    }
    let Some(takes) = plug::parameters(scope.scripts, &scope.compiled, file, name) else {
        let functions = plug::functions(scope.scripts, &scope.compiled, file);
        unknown(
            format!("{} has no function {}", quoted(file), quoted(name)),
            scope.sink.suggest(name, functions.iter().map(String::as_str)),
        );
        return None;
    };
    let unread: Vec<&String> = takes.iter().filter(|p| *p != "args" && !reads.contains_key(*p)).collect();
    let untaken: Vec<&String> = reads.keys().filter(|r| !takes.contains(r)).collect();
    if unread.is_empty() && untaken.is_empty() {
        return Some(());
    }
    let given: Vec<&str> = reads.keys().map(String::as_str).collect();
    let words = format!(
        "{} takes ({}), but `reads` gives ({})",
        quoted(name),
        takes.join(", "),
        given.join(", ")
    );
    let problem = Problem::error(codes::ARITY, &function.at, words).label("parameters do not match");
    scope
        .sink
        .push(problem.help("the names under `reads` must be the function's parameters; `args` is given besides"));
    None
}
