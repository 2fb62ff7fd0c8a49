//! Effects as `perform/` carries them out: intent before the call, a look before a repeat, the outcome
//! recorded last. Between any two of these the service may die.

use signalbox::engine::model::{ActionIntent, Actor, Body, CleanUp, Kill, Millis, Name, RunEnd, RunId, Signal, StopState, Task, Usage};
use signalbox::shell::store::{Effect, NewEvent, OutboxRow, RunState};

use super::jobs::blank;
use super::life::Life;
use super::outside::{NoAnswer, Plan, head};
use super::people::everybody;
use super::service::Work;
use super::twin::Twin;

impl Life {
    fn event(&self, row: &OutboxRow, body: Body, dedupe: String) -> NewEvent {
        NewEvent {
            target: row.target.clone(),
            at: self.now(),
            cause: Some(row.seq),
            actor: Actor::Service,
            body,
            dedupe: Some(dedupe),
        }
    }

    fn done(&mut self, row: &OutboxRow, event: Option<NewEvent>) {
        let now = self.now();
        self.disk.effect_done(row.id, event, now);
        self.mem.as_mut().unwrap().woken = true;
    }

    fn fails(&mut self, row: &OutboxRow) {
        let longest = if matches!(row.effect, Effect::Act(_) | Effect::CleanUp(_)) {
            60_000
        } else {
            300_000
        };
        let pause = 250_i64.saturating_mul(1 << row.attempts.min(20)).min(longest);
        let at = self.now().plus(Millis(pause));
        self.disk.effect_retry(row.id, "no answer", at);
        self.mem.as_mut().unwrap().woken = true;
    }

    fn goes_on(&mut self, work: Work) {
        self.mem.as_mut().unwrap().work.push(work);
    }

    pub fn effect(&mut self, row: Box<OutboxRow>, at: u8) {
        match row.effect.clone() {
            Effect::Settle { run } => self.settle(&row, run),
            Effect::Kill { run, .. } => {
                let known = self.disk.is.run(run);
                if known.state == RunState::Running && self.twin != Twin::KillsNobody {
                    self.out.kill(run);
                }
                self.done(&row, None);
            }
            Effect::Status { status } => {
                let issue = row.target.issue.clone().unwrap_or_default();
                let told = self.out.tracker(|out| out.cards.get_mut(&issue).unwrap().status = status);
                self.told(&row, told);
            }
            Effect::Comment { key, .. } => {
                let blind = self.twin == Twin::CommentsBlindly;
                let place = (row.target.issue.clone().unwrap_or_default(), key);
                let told = self.out.tracker(|out| {
                    let times = out.ledger.comments.entry(place).or_default();
                    if *times == 0 || blind {
                        *times += 1;
                    }
                });
                self.told(&row, told);
            }
            Effect::Alert { .. } | Effect::Card => self.done(&row, None),
            Effect::Act(intent) => self.act(row, &intent, at),
            Effect::CleanUp(what) => self.clean_up(row, &what, at),
        }
    }

    /// The outside has been told; that it was is recorded in a commit of its own.
    fn told(&mut self, row: &OutboxRow, answer: Result<(), NoAnswer>) {
        match answer {
            // The service dies between the two.
            Ok(()) if !self.out.calm && self.out.rng.chance(self.out.odds.death) => self.dies(),
            Ok(()) => self.done(row, None),
            Err(NoAnswer) => self.fails(row),
        }
    }

    fn settle(&mut self, row: &OutboxRow, id: RunId) {
        let run = self.disk.is.run(id).clone();
        if run.state != RunState::Exited {
            return self.done(row, None);
        }
        let mut report = Box::new(blank(&run, RunEnd::Ok));
        let branch = self.disk.is.task(run.task).unwrap().branch.clone();
        let blind = self.twin == Twin::PushesBlindly;
        match (run.kill, self.out.procs[&id].plan.clone()) {
            (Some(why), _) => report.end = RunEnd::Killed(why),
            (None, Plan::Works { .. }) => match self.out.forge(|out| out.push(&branch, id, blind)) {
                Ok(Some(head)) => {
                    report.usage = Usage {
                        cost_usd: 1.5,
                        ..Usage::default()
                    };
                    report.head = Some(head);
                }
                Ok(None) => {
                    report.end = RunEnd::Permanent {
                        detail: "its branch was deleted".to_owned(),
                    }
                }
                Err(NoAnswer) => return self.fails(row),
            },
            (None, Plan::Ends(end)) => {
                if matches!(end, RunEnd::Exited { .. }) {
                    report.head = self.disk.is.task(run.task).unwrap().ledger.head.clone();
                }
                report.end = end;
            }
            (None, Plan::Hangs | Plan::Vanishes) => report.end = RunEnd::Killed(Kill::Deadline),
        }
        self.goes_on(Work::Settled {
            effect: row.id,
            run: id,
            report,
        });
    }

    // ---- actions

    /// Whether a stop waits for the action.
    fn stop_waits(&self, task: &Task) -> bool {
        self.disk.is.task(task.id).unwrap().control.stop == StopState::Deferred
    }

    fn act(&mut self, mut row: Box<OutboxRow>, intent: &ActionIntent, at: u8) {
        let task = self.disk.is.task(row.target.task.unwrap()).unwrap().clone();
        if task.terminal() || task.control.stop == StopState::Cleaning {
            return self.done(&row, None);
        }
        let merging = intent.action == "merge";
        let merged = |life: &Self| life.out.merged.get(&task.branch).cloned();
        if merging && row.progress.is_none() && self.stop_waits(&task) {
            return self.goes_on(Work::Acted {
                row,
                outcome: "stopped",
                moved: false,
            });
        }
        if self.out.forge(|_| ()).is_err() {
            return self.fails(&row);
        }
        let branch = self
            .out
            .branches
            .get(&task.branch)
            .filter(|b| b.task == task.id)
            .map(|b| (head(b.tip()).sha, b.base));
        let known = merged(self).is_some_and(|h| h.sha == intent.sha) && self.twin != Twin::MergesBlindly;
        let outcome = match branch {
            _ if merging && row.progress.is_some() && known => Some("ok"),
            _ if merging && self.stop_waits(&task) && !known => Some("stopped"),
            None => Some("refused"),
            Some((_, base)) if !merging && base == self.out.base => Some("ok"),
            Some((sha, _)) if sha != intent.sha => Some("head_moved"),
            Some((_, base)) if merging && base != self.out.base && self.twin != Twin::MergesBlindly => Some("base_moved"),
            Some(_) => None,
        };
        if let Some(outcome) = outcome {
            return self.goes_on(Work::Acted {
                row,
                outcome,
                moved: !merging && outcome == "ok",
            });
        }
        if at == 0 {
            let progress = serde_json::json!({ "head": intent.sha });
            row.progress = Some(progress.clone());
            return match self.disk.effect_progress(row.id, progress) {
                Ok(()) => self.goes_on(Work::Effect { row, at: 1 }),
                Err(_) => self.done(&row, None),
            };
        }
        let called = self.out.forge(|out| match merging {
            true => out.merge(&task.branch, task.id),
            false => drop(out.update(&task.branch)),
        });
        match called {
            Ok(()) => self.goes_on(Work::Acted {
                row,
                outcome: "ok",
                moved: !merging,
            }),
            Err(NoAnswer) => self.fails(&row),
        }
    }

    pub fn acted(&mut self, row: &OutboxRow, outcome: &str, moved: bool) {
        let Effect::Act(intent) = &row.effect else { return };
        let task = self.disk.is.task(row.target.task.unwrap()).unwrap();
        let tip = self.out.branches.get(&task.branch).map(|b| head(b.tip()));
        let body = Body::ActionEnded {
            visit: intent.visit,
            action: intent.action.clone(),
            outcome: Name::new(outcome),
            detail: String::new(),
            head: tip.filter(|_| moved),
        };
        let event = self.event(row, body, format!("action-{}", row.id));
        self.done(row, Some(event));
    }

    fn clean_up(&mut self, row: Box<OutboxRow>, what: &CleanUp, at: u8) {
        let task = self.disk.is.task(row.target.task.unwrap()).unwrap().clone();
        if at == 0 {
            let mut alive = false;
            for run in self
                .disk
                .is
                .runs
                .clone()
                .iter()
                .filter(|r| r.task == task.id && r.state != RunState::Ended)
            {
                if run.state == RunState::Exited {
                    let kill = RunEnd::Killed(run.kill.unwrap_or(Kill::Stop));
                    self.end_run(run.id, &kill, None, None);
                } else {
                    alive = true;
                }
            }
            if alive && self.twin != Twin::CleansEarly {
                let again = self.now().plus(Millis(250));
                self.disk.effect_postpone(row.id, "waits for something else first", again);
                self.mem.as_mut().unwrap().woken = true;
                return;
            }
            return self.goes_on(Work::Effect { row, at: 1 });
        }
        if what.branch {
            let mine = |out: &super::outside::Outside| out.branches.get(&task.branch).is_some_and(|b| b.task == task.id);
            let gone = self.out.forge(|out| {
                if mine(out) {
                    drop(out.branches.remove(&task.branch))
                }
            });
            if gone.is_err() {
                return self.fails(&row);
            }
        }
        let body = Body::CleanedUp {
            report: "processes gone".to_owned(),
        };
        let event = what.report.then(|| self.event(&row, body, format!("cleaned-{}", row.id)));
        self.done(&row, event);
    }

    // ---- the board

    /// Reads what people did on an issue, and writes down what is new of it, one thing at a time.
    pub fn sync(&mut self, delivery: Option<usize>, issue: String, next: usize) {
        let acts = if next == 0 {
            self.out.tracker(|out| out.cards[&issue].acts.clone())
        } else {
            Ok(self.out.cards[&issue].acts.clone())
        };
        let Ok(acts) = acts else {
            let again = self.now().plus(Millis(5_000));
            match delivery {
                Some(n) => {
                    let known = &mut self.disk.is.deliveries[n];
                    (known.due, known.attempts) = (again, known.attempts + 1);
                    self.disk.is.commits += 1;
                    self.mem.as_mut().unwrap().busy.remove(&format!("delivery {n}"));
                }
                None => {
                    let at = self.out.t.plus(Millis(5_000));
                    self.mem.as_mut().unwrap().later.push((at, Work::Sync { delivery, issue, next: 0 }));
                }
            }
            return;
        };
        if let Some(act) = acts.get(next) {
            let signal = Signal {
                name: act.name.into(),
                text: Some("words".to_owned()),
                activity: act.activity.clone(),
                acted_at: act.at,
            };
            let dedupe = (self.twin != Twin::ConsumesTwice).then(|| act.activity.clone());
            let event = NewEvent {
                target: self.at(&issue),
                at: self.now(),
                cause: None,
                actor: everybody(),
                body: Body::Signalled(signal),
                dedupe,
            };
            self.disk.record(event);
            return self.goes_on(Work::Sync {
                delivery,
                issue,
                next: next + 1,
            });
        }
        if let Some(n) = delivery {
            self.disk.is.deliveries[n].open = false;
            self.disk.is.commits += 1;
            let mem = self.mem.as_mut().unwrap();
            mem.busy.remove(&format!("delivery {n}"));
            mem.woken = true;
        }
    }
}
