//! Plays a scenario: undisturbed, with the service killed after every event, or with every act doubled.

use std::time::Instant;

use serde_json::{Value as Json, json};
use signalbox::scripted::{Entry, Phase};

use super::http::{self, Answer};
use super::{LONG, Scenario, Step, World};

/// How a scenario is played.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Undisturbed.
    Plain,
    /// The service dies after every event that it decided.
    Crashed,
    /// Every act of a person is sent twice in one breath.
    Doubled,
}

/// Plays all steps; false when a doubled act was by chance taken twice, which makes it another story.
pub fn play(world: &mut World, scenario: &Scenario, mode: Mode) -> bool {
    if mode == Mode::Crashed && world.crash.is_none() {
        world.crash = Some("event:1".to_owned());
    }
    world.start();
    scenario.steps.iter().all(|step| Playing { world: &mut *world, mode }.step(step))
}

/// Whether a task is held back by a blocker of this code.
pub fn blocked(seen: &Json, code: &str) -> bool {
    seen["blockers"].as_array().is_some_and(|all| all.iter().any(|b| b["code"] == code))
}

struct Playing<'a> {
    world: &'a mut World,
    mode: Mode,
}

impl Playing<'_> {
    fn step(&mut self, step: &Step) -> bool {
        let text = step.text.clone();
        if let Some(title) = &step.new {
            let text = text.unwrap_or_else(|| "Please.".to_owned());
            return self.act("", &json!({"title": title, "text": text, "labels": step.labels}), step);
        }
        if let Some(item) = &step.wait {
            self.wait(item, step);
            return true;
        }
        let acts = [
            (&step.approve, "approve", json!({"text": text})),
            (&step.confirm, "approve", json!({"signal": "confirm_deploy", "text": text})),
            (&step.reject, "reject", json!({"text": text.clone().unwrap_or_default()})),
            (&step.answer, "answer", json!({"text": text.clone().unwrap_or_default()})),
            (&step.stop, "stop", json!({"text": text})),
            (&step.retry, "retry", json!({"text": text})),
            (&step.depend, "depend", json!({"on": step.on})),
            (&step.comment, "comment", json!({"text": text.clone().unwrap_or_default()})),
            (&step.status, "status", json!({"status": step.to})),
            (&step.label, "label", json!({"label": step.name})),
            (&step.ci, "check", json!({"context": step.name, "state": step.is})),
            (
                &step.review,
                "review",
                json!({"verdict": step.is, "text": text.clone().unwrap_or_default()}),
            ),
        ];
        if let Some((Some(item), verb, body)) = acts.into_iter().find(|(item, ..)| item.is_some()) {
            return self.act(&format!("/{}/{verb}", item.replace('#', "%23")), &body, step);
        }
        self.around(step);
        true
    }

    /// What happens outside the service.
    fn around(&mut self, step: &Step) {
        let content = step.content.clone().unwrap_or_default();
        if let Some(item) = &step.push {
            let branch = self.world.show(item)["branch"].as_str().expect("a branch").to_owned();
            self.world.push(&branch, step.file.as_deref().expect("a file"), &content);
        } else if let Some(file) = &step.commit_base {
            self.world.commit_base(file, &content);
        } else if step.let_go == Some(true) {
            self.world.let_go();
        } else if let Some(how) = &step.restart {
            match how.as_str() {
                "kill" => self.world.kill(),
                "order" => self.world.stop(),
                other => panic!("`restart = {other:?}`: kill or order"),
            }
            self.world.start();
        } else {
            panic!("a step without a verb: {step:?}");
        }
    }

    /// One act of a person, until it is known to be recorded.
    fn act(&mut self, path: &str, body: &Json, step: &Step) -> bool {
        let path = format!("/api/tasks{path}");
        let doubled = self.mode == Mode::Doubled && step.new.is_none() && step.comment.is_none();
        if doubled {
            let answers = http::send_twice(&self.world.socket(), &path, body).expect("two answers");
            return self.judge_two(&answers, &path, step);
        }
        let before = self.world.recorded();
        loop {
            match self.world.post(&path, body) {
                Ok(answer) => {
                    judge(&answer, &path, step);
                    return true;
                }
                Err(error) => {
                    assert_eq!(self.mode, Mode::Crashed, "{path}: {error}\n{}", self.world.tail());
                    self.world.revive();
                    // As a careful person does: look whether it was taken before saying it again.
                    if self.world.recorded() > before {
                        return true;
                    }
                }
            }
        }
    }

    fn judge_two(&self, answers: &[Answer; 2], path: &str, step: &Step) -> bool {
        let [a, b] = answers;
        if step.refused.is_some() {
            judge(a, path, step);
            judge(b, path, step);
            return true;
        }
        assert!(a.ok() || b.ok(), "{path} is refused twice: {a:?} {b:?}\n{}", self.world.tail());
        let recorded = |answer: &Answer| answer.ok() && !answer.body["seq"].is_null();
        // The first was decided before the second was read: two acts on two states.
        !(recorded(a) && recorded(b) && (step.reject.is_some() || step.answer.is_some() || step.retry.is_some()))
    }

    fn wait(&mut self, item: &str, step: &Step) {
        let until = step.until.as_deref().expect("`wait` says `until`");
        if let Some(agent) = until.strip_prefix("agent ") {
            let nth = step.nth.unwrap_or(1);
            // Asking keeps a service alive that dies after each event.
            let begun = self.world.path("ledger");
            self.world.wait_for(item, until, |_| {
                let ledger = std::fs::read_to_string(&begun).unwrap_or_default();
                let mine = |e: &Entry| e.phase == Phase::Start && e.item == item && e.agent == agent;
                let entries = ledger.lines().filter_map(|line| serde_json::from_str(line).ok());
                entries.filter(mine).count() >= nth
            });
            return;
        }
        if until == "heard" {
            let begun = Instant::now();
            while self.world.count("SELECT COUNT(*) FROM inbox WHERE state = 'pending'") > 0 {
                // The same here.
                self.world.show(item);
                assert!(begun.elapsed() < LONG, "what was said is not decided:\n{}", self.world.tail());
            }
            return;
        }
        let what = format!("{until}{}", step.at.as_ref().map(|s| format!(" at {s}")).unwrap_or_default());
        self.world.wait_for(item, &what, |seen| {
            let here = step.at.as_ref().is_none_or(|stage| seen["task"]["stage"] == stage.as_str());
            here && reached(seen, until)
        });
    }
}

/// Whether what is shown of a task is what was waited for.
pub(super) fn reached(seen: &Json, until: &str) -> bool {
    if let Some(stage) = until.strip_prefix("stage ") {
        return seen["task"]["stage"] == stage;
    }
    if let Some(status) = until.strip_prefix("status ") {
        return seen["status"] == status;
    }
    if let Some(text) = until.strip_prefix("comment ") {
        return seen["comments"]
            .as_array()
            .is_some_and(|all| all.iter().any(|c| c["text"].as_str().is_some_and(|t| t.contains(text))));
    }
    // A stage that is being entered is not stood at yet.
    if seen["task"]["at"] == "entering" {
        return false;
    }
    if until.chars().all(|c| c.is_ascii_uppercase() || c == '_') {
        return blocked(seen, until);
    }
    seen["task"]["mode"] == until
}

fn judge(answer: &Answer, path: &str, step: &Step) {
    match &step.refused {
        None => assert!(answer.ok(), "{path} is refused: {answer:?}"),
        Some(words) => assert!(
            !answer.ok() && answer.refusal().contains(words),
            "{path} should be refused with {words:?}: {answer:?}"
        ),
    }
}
