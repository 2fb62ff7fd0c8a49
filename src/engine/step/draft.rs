//! The step under construction: the new task, the new repository, and what is decided so far.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::engine::model::{
    At, Because, Body, Decision, Event, Facts, Head, JobKind, JobSpec, Kill, Life, Millis, Mode, Name, Repo, Said, Slot, SlotState,
    StopState, Task, Visit,
};
use crate::engine::render::{self, Words};
use crate::engine::rules::{Edge, GateKind, Ruleset, Stage};

use super::gates::{Answer, Answers};
use super::{Step, Took, edges};

/// What a message is told besides the task.
#[derive(Default, Clone, Copy)]
pub(super) struct Say<'s> {
    pub outcome: &'s str,
    pub detail: &'s str,
    pub text: &'s str,
    pub to: &'s str,
    pub who: &'s str,
    pub attempt: u32,
    pub max: u32,
}

/// A step under construction.
pub(super) struct Draft<'a> {
    pub rules: &'a Ruleset,
    pub event: &'a Event,
    pub facts: &'a Facts,
    pub task: Task,
    /// Copied only when something of it changes: many tasks may sit in its lane.
    repo: Cow<'a, Repo>,
    answers: &'a dyn Answers,
    decisions: Vec<Decision>,
    because: Vec<Because>,
    follow: Option<Body>,
    took: Vec<Took>,
    texts: u32,
    /// The task stood escalated when the step began: the board may say so.
    parked: bool,
    /// The head moved in this very step: what was gathered is about the old one.
    stale: bool,
}

impl<'a> Draft<'a> {
    pub fn new(rules: &'a Ruleset, task: &Task, repo: &'a Repo, event: &'a Event, facts: &'a Facts, answers: &'a dyn Answers) -> Self {
        Self {
            rules,
            event,
            facts,
            task: task.clone(),
            repo: Cow::Borrowed(repo),
            answers,
            decisions: Vec::new(),
            because: Vec::new(),
            follow: None,
            took: Vec::new(),
            texts: 0,
            parked: task.control.mode == Mode::Escalated,
            stale: false,
        }
    }

    pub fn finish(mut self) -> Step {
        self.show_again();
        Step {
            task: self.task,
            repo: match self.repo {
                Cow::Owned(repo) => Some(repo),
                Cow::Borrowed(_) => None,
            },
            decisions: self.decisions,
            because: self.because,
            follow: self.follow,
            took: self.took,
        }
    }

    /// Out of an escalation, the board shows the stage again: what it shows now may be that a person was needed.
    fn show_again(&mut self) {
        let control = &self.task.control;
        let moves = control.phase.life() == Life::Live && control.mode == Mode::Active && control.stop == StopState::No;
        // Entering a stage shows its status by itself.
        if !self.parked || !moves || control.at == At::Entering {
            return;
        }
        let told = self.decisions.iter().any(|d| matches!(d, Decision::ShowStatus { .. }));
        if let (Some(status), false) = (self.stage().and_then(|s| s.status.clone()), told) {
            self.decisions.insert(0, Decision::ShowStatus { status });
        }
    }

    pub fn repo(&self) -> &Repo {
        &self.repo
    }

    /// The repository, to be changed.
    pub fn repo_mut(&mut self) -> &mut Repo {
        self.repo.to_mut()
    }

    pub fn now(&self) -> Millis {
        self.event.at
    }

    pub fn because(&mut self, why: impl Into<String>) {
        self.because.push(Because(why.into()));
    }

    pub fn decide(&mut self, decision: Decision) {
        self.decisions.push(decision);
    }

    pub fn follow(&mut self, body: Body) {
        self.follow = Some(body);
    }

    pub fn stage(&self) -> Option<&'a Stage> {
        self.rules.stages.get(&self.task.control.stage)
    }

    /// The edge for an outcome at the present stage; noted as taken, found or not.
    pub fn edge(&mut self, gate: &str, by: &str, outcome: &str) -> Option<(&'a Name, &'a Edge)> {
        let found = self.edge_if(gate, by, outcome, |_| true);
        if found.is_none() {
            self.took(gate, outcome, None);
        }
        found
    }

    /// The edge for an outcome at the present stage, if it is as asked for; noted as taken where found.
    pub fn edge_if(&mut self, gate: &str, by: &str, outcome: &str, fits: impl Fn(&Edge) -> bool) -> Option<(&'a Name, &'a Edge)> {
        let found = edges::find(self.rules, &self.task.control.stage, gate, by, outcome).filter(|(_, edge)| fits(edge));
        if let Some((name, _)) = found {
            self.took(gate, outcome, Some(name.clone()));
        }
        found
    }

    fn took(&mut self, gate: &str, outcome: &str, edge: Option<Name>) {
        self.took.push(Took {
            stage: self.task.control.stage.clone(),
            outcome: Name::from(format!("{gate}.{outcome}")),
            edge,
        });
    }

    pub fn answer(&self, gate: &Name) -> Answer {
        self.answers.answer(&self.task, gate)
    }

    /// The human gates of the present stage that `signal` answers, directly or inside another
    /// gate, with the role each asks for.
    pub fn human_gates(&self, signal: &Name) -> Vec<(Name, Name)> {
        let answers = |(name, kind): (&Name, &GateKind)| match kind {
            GateKind::Human { signal: s, from, .. } if s == signal => Some((name.clone(), from.clone())),
            _ => None,
        };
        self.rules
            .asked_in(&self.task.control.stage)
            .into_iter()
            .filter_map(answers)
            .collect()
    }

    pub fn visit(&self) -> u32 {
        self.task.ledger.visit.number
    }

    /// Whether `visit` is the present one; says so when it is not.
    pub fn current(&mut self, visit: u32) -> bool {
        let current = visit == self.visit();
        if !current {
            self.because(format!(
                "it belongs to visit {visit}, the task is at visit {}: no effect",
                self.visit()
            ));
        }
        current
    }

    /// The subject that verdicts and approvals bind to now; empty before the first commit.
    pub fn subject(&self) -> String {
        self.task.ledger.head.as_ref().map(|h| h.subject.clone()).unwrap_or_default()
    }

    /// Takes over a head that someone pushed: on top of ours, or in its place, as a rebase leaves it. What the branch had is
    /// in the vault; what it has is what is looked at, approved and merged.
    ///
    /// Returns nothing: a moved subject voids approvals by itself, because they name the subject.
    pub fn adopt_head(&mut self) {
        let Some(seen) = self.facts.head() else { return };
        let Some(head) = &seen.head else { return };
        let moved = self.task.ledger.head.as_ref().is_none_or(|h| h.sha != head.sha);
        if !moved || self.task.ledger.head.is_none() {
            return;
        }
        let same_subject = self.task.ledger.head.as_ref().is_some_and(|h| h.subject == head.subject);
        self.because(format!(
            "the branch {} to {} ({})",
            if seen.descends { "moved" } else { "was rewritten" },
            short(&head.sha),
            if same_subject { "same subject" } else { "other code" }
        ));
        self.set_head(head.clone());
        if !self.task.ledger.adopted.contains(&head.sha) {
            self.task.ledger.adopted.push(head.sha.clone());
        }
        self.stale = true;
        if same_subject {
            return;
        }
        // A verdict is about the code it was given on; so is that a gate's command could not be run.
        self.task.ledger.runs.clear();
        self.forgive_commands();
        if self.task.control.mode == Mode::Escalated {
            self.because("someone pushed: the task is taken up again");
            self.calm();
            self.ask_anew();
        }
    }

    /// Commands of gates that could not be run may be tried again: in another round, on other code.
    fn forgive_commands(&mut self) {
        let work = self.stage().map_or(&[][..], |s| s.work.as_slice());
        let failed = |slot: &Slot| matches!(slot.state, SlotState::Failed(_));
        self.task.control.slots.retain(|name, slot| work.contains(name) || !failed(slot));
    }

    /// Has the gates asked in a step of their own, whatever the event that found the push goes on
    /// to do: it may be one that asks nothing, and nothing else would move the task.
    fn ask_anew(&mut self) {
        if self.busy() || !matches!(self.task.control.at, At::Work | At::Gates) {
            return;
        }
        self.task.control.at = At::Gates;
        self.follow(Body::Poked {
            by: Name::new("the branch moved"),
        });
    }

    /// Whether the facts are about an older head; then the gates are asked in a step of their own.
    pub fn reads_anew(&mut self) -> bool {
        if self.stale {
            self.because("what the gates read is gathered again at the new head");
            self.follow(Body::Poked {
                by: Name::new("the branch moved"),
            });
        }
        self.stale
    }

    /// Whether someone pushed, as this step found.
    pub fn pushed(&self) -> bool {
        self.stale
    }

    /// Whether jobs of the visit are queued or at work.
    pub fn busy(&self) -> bool {
        self.task.busy()
    }

    pub fn set_head(&mut self, head: Head) {
        let ledger = &mut self.task.ledger;
        if ledger.head.as_ref().is_none_or(|h| h.subject != head.subject) {
            ledger.subject_since = self.event.at;
            self.task.control.reported = None;
        }
        ledger.head = Some(head);
    }

    /// Back from escalation or a question: the task moves by itself again.
    pub fn calm(&mut self) {
        self.task.control.mode = Mode::Active;
        self.task.control.reported = None;
        self.task.ledger.escalated = None;
        self.task.ledger.question = None;
        self.task.ledger.waiting = None;
    }

    pub fn wait(&mut self, sentence: impl Into<String>) {
        let sentence = sentence.into();
        let same = self.task.ledger.waiting.as_ref().is_some_and(|(s, _)| *s == sentence);
        if !same {
            self.task.ledger.waiting = Some((sentence, self.now()));
        }
    }

    /// Parks the task for a person.
    pub fn escalate(&mut self, why: &str) {
        self.task.control.mode = Mode::Escalated;
        self.task.ledger.escalated = Some((why.to_owned(), self.now()));
        self.because(format!("escalated: {why}"));
    }

    pub fn status(&mut self, status: &str) {
        self.decide(Decision::ShowStatus { status: status.to_owned() });
    }

    /// What agents are told that begin anew: people's words that no run has taken up, then the note of the round.
    pub fn take_note(&mut self) -> Option<String> {
        let ledger = &mut self.task.ledger;
        let words = ledger.said.iter_mut().map(|said| {
            said.missed = false;
            said.text.clone()
        });
        let parts: Vec<String> = words.chain(ledger.note.take()).collect();
        (!parts.is_empty()).then(|| parts.join("\n\n"))
    }

    /// Keeps words of a person until a run that was told them has ended well.
    pub fn said(&mut self, text: String, answer: bool) {
        Said::add(&mut self.task.ledger.said, self.event.seq, text, answer);
    }

    /// Adds to the jobs of the visit that have not begun whatever people have said that they lack.
    pub fn tell_waiting(&mut self) {
        let words: Vec<String> = self.task.ledger.said.iter().map(|said| said.text.clone()).collect();
        if !words.is_empty() {
            let visit = self.visit();
            self.decide(Decision::Tell { visit, words });
        }
    }

    /// Queues the job of an agent of the present stage.
    pub fn enqueue(&mut self, slot: &Name, kind: JobKind, note: Option<String>) {
        self.task.control.slots.insert(slot.clone(), Slot::default());
        let entry = self.rules.gate(&self.repo, self.task.id, &self.task.control.stage).is_some();
        let job = JobSpec {
            visit: self.visit(),
            slot: slot.clone(),
            kind,
            stage: self.task.control.stage.clone(),
            note,
            available_at: self.now(),
            entry,
        };
        self.decide(Decision::Enqueue(job));
    }

    /// Queues every agent of the stage; the note of the last round goes to each.
    pub fn enqueue_work(&mut self) {
        let Some(stage) = self.stage() else { return };
        let note = self.take_note();
        self.task.ledger.round_base = self.task.ledger.head.as_ref().map(|h| h.sha.clone());
        self.task.ledger.bases.clear();
        self.task.ledger.runs.clear();
        for agent in &stage.work {
            self.enqueue(agent, JobKind::Agent, note.clone());
        }
        self.task.control.at = At::Work;
    }

    /// Another round for the agents of the stage that failed, where others of it ended well: their
    /// word counts on. Otherwise for all.
    pub fn enqueue_rest(&mut self) {
        self.renew();
        let work = self.stage().map_or(&[][..], |s| s.work.as_slice());
        let runs = self.task.ledger.runs.clone();
        let ended = |agent: &Name, slot: &Slot| slot.state == SlotState::Ok && runs.contains_key(agent);
        self.task
            .control
            .slots
            .retain(|name, slot| work.contains(name) && ended(name, slot));
        let rest: Vec<Name> = work
            .iter()
            .filter(|agent| !self.task.control.slots.contains_key(*agent))
            .cloned()
            .collect();
        if rest.is_empty() {
            self.task.control.slots.clear();
        }
        if rest.is_empty() || rest.len() == work.len() {
            return self.enqueue_work();
        }
        let note = self.take_note();
        for agent in &rest {
            self.enqueue(agent, JobKind::Agent, note.clone());
        }
        self.because("what the others of the stage wrote counts on");
        self.task.control.at = At::Work;
    }

    /// Begins another round of the stage: what is left of the last one belongs to a visit gone by.
    pub fn renew(&mut self) {
        super::actions::release(self);
        self.supersede();
        self.task.control.slots.retain(|_, slot| slot.state != SlotState::Queued);
        self.forgive_commands();
        self.close_review();
        self.decide(Decision::DropTimers);
        let ledger = &mut self.task.ledger;
        ledger.visit.number = ledger.visit.number.saturating_add(1);
        ledger.approvals.clear();
        ledger.cards.clear();
        ledger.failure = None;
        ledger.waiting = None;
        self.task.control.approved.clear();
        self.task.control.reported = None;
    }

    /// Leaves the stage for `to`: a new visit, whose `Entered` event has needs of its own.
    pub fn enter(&mut self, to: &Name) {
        super::actions::release(self);
        self.supersede();
        self.close_review();
        self.decide(Decision::DropTimers);
        let control = &mut self.task.control;
        control.stage = to.clone();
        control.at = At::Entering;
        control.slots.clear();
        control.approved.clear();
        control.reported = None;
        let ledger = &mut self.task.ledger;
        ledger.visit = Visit {
            number: ledger.visit.number.saturating_add(1),
            entered_at: self.event.at,
        };
        ledger.runs = BTreeMap::new();
        ledger.bases.clear();
        ledger.approvals.clear();
        ledger.cards.clear();
        ledger.waiting = None;
        ledger.question = None;
        ledger.failure = None;
        self.follow(Body::Entered { visit: self.visit() });
    }

    /// Stops whatever of the present visit is still queued or running.
    pub fn supersede(&mut self) {
        if self.busy() {
            self.decide(Decision::Withdraw {
                visit: Some(self.visit()),
                why: Kill::Superseded,
            });
            self.because("what was still at work is superseded");
        }
    }

    pub fn open_review(&mut self) {
        let now = self.now();
        self.task.ledger.review.started_at.get_or_insert(now);
    }

    pub fn close_review(&mut self) {
        let now = self.now();
        let review = &mut self.task.ledger.review;
        if let Some(started) = review.started_at.take() {
            review.total = review.total.plus(now.since(started));
            review.ended_at = Some(now);
        }
    }

    /// A comment from the messages.
    pub fn comment(&mut self, message: &str, say: Say<'_>) {
        let text = self.render("comment", message, say);
        self.comment_text(text);
    }

    /// A comment already rendered.
    pub fn comment_text(&mut self, text: String) {
        let key = self.key("comment");
        self.decide(Decision::Comment { key, text, agent: None });
    }

    /// How many decisions there are.
    pub fn decided(&self) -> usize {
        self.decisions.len()
    }

    /// The comments since `first` tell what the agent of the run that has just ended wrote.
    pub fn told_by_agent(&mut self, first: usize) {
        let Body::RunEnded(report) = &self.event.body else { return };
        for decision in self.decisions.iter_mut().skip(first) {
            if let Decision::Comment { agent, .. } = decision {
                *agent = Some(report.slot.clone());
            }
        }
    }

    /// An alert from the messages.
    pub fn alert(&mut self, message: &str, say: Say<'_>) {
        let text = self.render("alert", message, say);
        let key = self.key("alert");
        self.decide(Decision::Alert { key, text });
    }

    /// A note for the agents of the next round.
    pub fn note(&mut self, message: &str, say: Say<'_>) {
        self.task.ledger.note = Some(self.render("note", message, say));
    }

    pub fn render(&self, section: &str, message: &str, say: Say<'_>) -> String {
        let actor = self.event.actor.label();
        let board = render::board(self.rules);
        let words = Words {
            item: &self.task.item,
            title: &self.task.title,
            stage: &self.task.control.stage,
            branch: &self.task.branch,
            previous: "",
            board: &board,
            vars: &self.rules.vars,
            to: say.to,
            who: if say.who.is_empty() { &actor } else { say.who },
            outcome: say.outcome,
            detail: say.detail,
            text: say.text,
            attempt: say.attempt,
            max: say.max,
        };
        render::message(self.rules, &format!("{section}.{message}"), &words)
    }

    /// Stable over a repetition of the same step, distinct among texts.
    fn key(&mut self, what: &str) -> String {
        self.texts += 1;
        format!("{what}-{}-{}", self.event.seq, self.texts)
    }
}

/// The first characters of a commit id.
pub(super) fn short(sha: &str) -> &str {
    sha.get(..10).unwrap_or(sha)
}

/// At most `max` characters of a text.
pub(super) fn clip(text: &str, max: usize) -> String {
    match text.char_indices().nth(max) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
