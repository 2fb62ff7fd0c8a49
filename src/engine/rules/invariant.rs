//! What a project says must always, or never, be true.

use super::check::Scope;
use super::codes;
use super::diagnostic::{Problem, quoted};
use super::draft::{Draft, InvariantDraft, MomentDraft};
use super::reader::{Reader, Sp};
use super::{Gate, Invariant, Moment};
use crate::engine::model::Name;
use std::collections::BTreeMap;

/// An invariant as it was written.
pub fn invariant(r: &Reader) -> Option<InvariantDraft> {
    let (never, always) = (r.table("never", r.what()), r.table("always", r.what()));
    let (t, key) = match (never, always) {
        (Some(t), None) => (t, "without"),
        (None, Some(t)) => (t, "with"),
        _ => {
            let problem = Problem::error(
                codes::CONFLICT,
                &r.at,
                format!("{} needs exactly one of `never` and `always`", r.what()),
            );
            let help = "never = { action = \"merge\", without = [\"tests.ok\"], for = \"same subject\" }";
            r.sink.push(problem.label("what must hold?").help(help));
            return None;
        }
    };
    let moment = match (t.text("action"), t.text("stage")) {
        (Some(action), None) => Some(MomentDraft::Action(action)),
        (None, Some(stage)) => Some(MomentDraft::Stage(stage)),
        _ => {
            let problem = Problem::error(
                codes::CONFLICT,
                &t.at,
                format!("{} needs exactly one of `action` and `stage`", r.what()),
            );
            r.sink.push(problem.label("when must it hold?").help("action = \"merge\""));
            None
        }
    };
    if !t.has(key) {
        t.missing(key, &format!("{key} = [\"tests.ok\"]"));
    }
    let needs = t.some_texts(key).map(|x| x.v).unwrap_or_default();
    let same_subject = t.choice("for", &["same subject", "any"]) != Some("any");
    t.finish();
    Some(InvariantDraft {
        moment: moment?,
        needs,
        same_subject,
    })
}

/// Invariants whose names mean something in this flow.
pub fn invariants(draft: &Draft, flow: &[Sp<String>], gates: &BTreeMap<Name, Gate>, scope: &Scope) -> BTreeMap<Name, Invariant> {
    let mut out = BTreeMap::new();
    for (name, written) in &draft.invariants {
        let Some(inv) = &written.v else { continue };
        let moment = moment(&inv.moment, draft, flow, scope);
        let needs = inv.needs.iter().filter_map(|n| need(n, gates, scope)).collect();
        if let Some(moment) = moment {
            out.insert(
                Name::new(name),
                Invariant {
                    moment,
                    needs,
                    same_subject: inv.same_subject,
                },
            );
        }
    }
    out
}

fn moment(moment: &MomentDraft, draft: &Draft, flow: &[Sp<String>], scope: &Scope) -> Option<Moment> {
    let reached = |s: &Sp<String>| flow.iter().any(|f| f.v == s.v);
    let (found, at, words) = match moment {
        MomentDraft::Stage(stage) => (reached(stage), stage, "the flow has no stage"),
        MomentDraft::Action(action) => {
            let mut stages = draft.stages.iter().filter(|(n, _)| flow.iter().any(|f| f.v == **n));
            let carried = stages.any(|(_, s)| s.v.actions.iter().any(|a| a.v == action.v));
            (carried, action, "no stage of the flow carries out")
        }
    };
    if !found {
        vacuous(at, &format!("{words} {}", quoted(&at.v)), scope);
        return None;
    }
    Some(match moment {
        MomentDraft::Stage(stage) => Moment::Stage(stage.name()),
        MomentDraft::Action(action) => Moment::Action(action.name()),
    })
}

fn need(need: &Sp<String>, gates: &BTreeMap<Name, Gate>, scope: &Scope) -> Option<(Name, Name)> {
    let Some((gate, outcome)) = need.v.split_once('.') else {
        let problem = Problem::error(codes::BAD_NAME, &need.at, format!("{} names no outcome", quoted(&need.v)));
        scope.sink.push(problem.label("needs the form \"gate.outcome\""));
        return None;
    };
    let Some(found) = gates.get(gate) else {
        vacuous(need, &format!("no stage of the flow asks the gate {}", quoted(gate)), scope);
        return None;
    };
    if outcome != "ok" && !found.outcomes.iter().any(|o| *o == *outcome) {
        vacuous(need, &format!("{} never comes out as {}", quoted(gate), quoted(outcome)), scope);
        return None;
    }
    Some((Name::new(gate), Name::new(outcome)))
}

/// An invariant about something that is not there would hold whatever happens.
fn vacuous(at: &Sp<String>, words: &str, scope: &Scope) {
    let problem = Problem::error(codes::INVARIANT, &at.at, format!("this invariant says nothing: {words}"));
    let help = "name what the flow has; an inherited invariant that does not fit is taken away by `\"unset\"`";
    scope.sink.push(problem.label("not in this flow").help(help));
}
