//! Telling a story: what each step makes happen, and whether it leads where it should.

use crate::engine::model::{Actor, At, Body, Name, RunEnd, SlotState, StopState};
use crate::engine::rules::{Ruleset, parse_duration};

use super::answers::Said;
use super::coverage::Visited;
use super::format::{Scenario, Step, Word, line};
use super::player::{self, Player, Recent, person};
use super::{Finding, check, expect};

/// Plays a story; the first thing that is not as told.
pub(super) fn tell(rules: &Ruleset, text: &str, scenario: &Scenario, at: usize, visited: &mut Visited) -> Result<(), Finding> {
    if !scenario.steps.iter().any(|s| s.get_ref().expect.is_some()) {
        return Err(Finding::new(at, "it expects nothing: end a step with expect = { stage = \"…\" }"));
    }
    let mut player = Player::new(rules, visited);
    let mut place = at;
    let told = begin(&mut player, text, scenario, &mut place).and_then(|()| {
        for step in &scenario.steps {
            place = line(text, step.span().start);
            happens(&mut player, text, step.get_ref(), &mut place)?;
        }
        Ok(())
    });
    told.map_err(|message| Finding {
        happened: std::mem::take(&mut player.happened),
        ..Finding::new(place, message)
    })
}

/// A word, its place noted for what may be wrong with it.
fn word<'w>(text: &str, word: &'w Word, place: &mut usize) -> &'w str {
    *place = line(text, word.span().start);
    word.get_ref()
}

fn begin(player: &mut Player<'_>, text: &str, scenario: &Scenario, place: &mut usize) -> Result<(), String> {
    let given = &scenario.given;
    player.issue.title = given.title.clone().unwrap_or(std::mem::take(&mut player.issue.title));
    player.issue.description = given.description.clone().unwrap_or(std::mem::take(&mut player.issue.description));
    player.issue.labels.clone_from(&given.labels);
    player.touched.clone_from(&given.touched);
    player.born_only()?;
    for (name, used) in &given.counters {
        *place = line(text, used.span().start);
        let name = check::counter(player.rules, name)?;
        player.task.control.counters.insert(name, *used.get_ref());
    }
    if player.task.control.phase == crate::engine::model::Phase::Unborn {
        return Ok(());
    }
    match &given.stage {
        Some(stage) => {
            let stage = check::stage(player.rules, word(text, stage, place))?;
            player.stand_at(&stage, "")
        }
        None => {
            let visit = player.task.ledger.visit.number;
            player.happen(Body::Entered { visit }, Actor::Service, &Said::new(), "")
        }
    }
}

fn happens(player: &mut Player<'_>, text: &str, step: &Step, place: &mut usize) -> Result<(), String> {
    let told = [&step.agent, &step.person, &step.gate, &step.action, &step.after, &step.push];
    let count = told.iter().filter(|t| t.is_some()).count() + usize::from(step.cleaned_up);
    let looks = count == 0 && !step.gates.is_empty();
    match count {
        0 if !looks && step.expect.is_none() => {
            return Err("nothing happens in this step: name an agent, a person, a gate, an action, a push, or time (`after`)".to_owned());
        }
        0 | 1 => {}
        _ => return Err("a step tells one thing: make several of it".to_owned()),
    }
    if count == 1 || looks {
        player.now = player.now.plus(crate::engine::model::Millis::secs(1));
        player.recent = Recent::default();
        player.asked.clear();
        let mut said = named(player, text, step, place)?;
        act(player, text, step, place, &mut said)?;
        settle(player, said, step.agent.as_ref().map(|a| Name::new(a.get_ref())))?;
    }
    match &step.expect {
        Some(expected) => {
            *place = line(text, expected.span().start);
            expect::compare(player, text, expected.get_ref(), place)
        }
        None => Ok(()),
    }
}

/// The outcomes that a step names by gate.
fn named(player: &Player<'_>, text: &str, step: &Step, place: &mut usize) -> Result<Said, String> {
    let mut said = Said::new();
    for (gate, outcome) in &step.gates {
        let outcome = word(text, outcome, place);
        said.insert(check::outcome(player.rules, gate, outcome)?, Name::new(outcome));
    }
    if let Some(gate) = &step.gate {
        let gate = word(text, gate, place);
        let outcome = step.outcome.as_ref().map_or("ok", |o| word(text, o, place));
        said.insert(check::outcome(player.rules, gate, outcome)?, Name::new(outcome));
    }
    Ok(said)
}

fn act(player: &mut Player<'_>, text: &str, step: &Step, place: &mut usize, said: &mut Said) -> Result<(), String> {
    let words = step.says.as_deref().unwrap_or_default();
    let outcome = step.outcome.as_ref().map(|o| o.get_ref().as_str());
    let (body, actor) = if let Some(agent) = &step.agent {
        let agent = agent_of(player, word(text, agent, place))?;
        if let Some(word_of) = &step.outcome {
            word(text, word_of, place);
        }
        player.held.retain(|_, (_, by)| by.as_ref() != Some(&agent));
        let end = ended(player, &agent, outcome.unwrap_or("ok"), words, said)?;
        (player.run_ended(&agent, end), Actor::Service)
    } else if let Some(what) = &step.person {
        let what = check::signal(player.rules, word(text, what, place))?;
        let roles = check::roles(step.role.as_ref().map(|r| word(text, r, place)))?;
        let spoken = step.says.as_deref();
        let body = match what.as_str() {
            "retry" => Body::Retried { note: step.says.clone() },
            name => player.signal(name, spoken),
        };
        (body, person(step.who.as_deref().unwrap_or("ann"), roles))
    } else if let Some(action) = &step.action {
        let action = action_of(player, word(text, action, place), outcome.unwrap_or("ok"))?;
        (
            player.action_ended(&action, &Name::new(outcome.unwrap_or("ok")), words),
            Actor::Service,
        )
    } else if let Some(span) = &step.after {
        let span = word(text, span, place);
        let span = parse_duration(span).ok_or_else(|| format!("`{span}` is no duration: 90s, 20m, 24h"))?;
        return player.pass(span, said);
    } else if let Some(what) = &step.push {
        let what = check::known("kind of push", word(text, what, place), ["code", "artefacts"])?;
        (player.pushed(what == "code"), Actor::Service)
    } else if step.cleaned_up {
        if player.task.control.stop != StopState::Cleaning {
            return Err("nothing is being cleaned up: only a stop that is being carried out is".to_owned());
        }
        (
            Body::CleanedUp {
                report: "all is gone".to_owned(),
            },
            Actor::Service,
        )
    } else {
        (
            Body::Poked {
                by: Name::new("the scenario"),
            },
            Actor::Service,
        )
    };
    player.happen(body, actor, said, words)
}

/// An agent, or a gate's command, of which something is at work.
fn agent_of(player: &Player<'_>, name: &str) -> Result<Name, String> {
    let name = check::job(player.rules, name)?;
    let slots = &player.task.control.slots;
    if slots.get(&name).is_some_and(|s| s.state == SlotState::Queued) {
        return Ok(name);
    }
    let open: Vec<&str> = slots
        .iter()
        .filter(|(_, s)| s.state == SlotState::Queued)
        .map(|(n, _)| n.as_str())
        .collect();
    let open = if open.is_empty() {
        "nobody is".to_owned()
    } else {
        format!("at work: {}", open.join(", "))
    };
    Err(format!("`{name}` is not at work at stage `{}`; {open}", player.task.control.stage))
}

/// How a run ended: by itself, or well with a verdict of a gate.
fn ended(player: &Player<'_>, agent: &Name, outcome: &str, words: &str, said: &mut Said) -> Result<RunEnd, String> {
    if let Some(end) = player::end(outcome, words) {
        return Ok(end);
    }
    let gate = check::verdict(player.rules, &player.task, agent, outcome)?;
    said.insert(gate, Name::new(outcome));
    Ok(RunEnd::Ok)
}

fn action_of(player: &Player<'_>, name: &str, outcome: &str) -> Result<Name, String> {
    let Some((action, outcomes)) = check::action(player.rules, &player.task) else {
        return Err(format!(
            "no action is under way: the task is at stage `{}` ({})",
            player.task.control.stage,
            player::at(&player.task)
        ));
    };
    check::known("action under way", name, [action.as_str()])?;
    check::known(&format!("outcome of `{action}`"), outcome, outcomes)?;
    Ok(action)
}

/// What was said holds on while the task stays in its round; what nobody asked for was said in vain.
fn settle(player: &mut Player<'_>, said: Said, by: Option<Name>) -> Result<(), String> {
    let rules = player.rules;
    let stage = player.task.control.stage.clone();
    let here = rules.stages.get(&stage).map_or(&[][..], |s| s.pass.as_slice());
    // Asked when the other agents of the stage have ended, too.
    let later = by.is_some() && player.task.control.at == At::Work;
    for (gate, outcome) in said {
        let asked = player.asked.iter().any(|top| within(rules, top, &gate, 0));
        let stays = here.iter().any(|top| within(rules, top, &gate, 0));
        if !(asked || later && stays) {
            return Err(format!(
                "gate `{gate}` was not asked: the task is at stage `{stage}`, {}",
                player::at(&player.task)
            ));
        }
        if stays {
            player.held.insert(gate, (outcome, by.clone()));
        }
    }
    Ok(())
}

/// Whether `gate` is `top` or a member of it.
fn within(rules: &Ruleset, top: &Name, gate: &Name, depth: u8) -> bool {
    use crate::engine::rules::GateKind;
    top == gate
        || match rules.gates.get(top).map(|g| &g.kind) {
            Some(GateKind::FirstOf(inner) | GateKind::AllOf(inner)) if depth < 16 => {
                inner.iter().any(|m| within(rules, m, gate, depth + 1))
            }
            _ => false,
        }
}
