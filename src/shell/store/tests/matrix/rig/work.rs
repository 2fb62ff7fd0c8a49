//! What the service would do: events decided, effects carried out.

use super::*;

impl Rig {
    /// Everything that follows, until nothing does.
    pub(super) async fn run(&mut self) {
        for _ in 0..200 {
            let decided = self.decide_all().await;
            let carried = self.carry_out().await;
            if !decided && !carried {
                return;
            }
        }
        let open = self.store.outbox_open().await.unwrap();
        panic!("it goes on for ever: {open:#?}");
    }

    pub(super) async fn decide_all(&mut self) -> bool {
        let mut any = false;
        loop {
            let pending = self.store.pending().await.unwrap();
            let Some(first) = pending.first() else { return any };
            any = true;
            while let Some(event) = self.store.next_event(&first.target, first.stop).await.unwrap() {
                let commit = self.decided(&first.target, event).await;
                self.store.commit_step(commit).await.unwrap();
                if self.way == Way::Crash {
                    self.dies().await;
                }
            }
        }
    }

    /// The step that follows from an event, not committed yet.
    pub(super) async fn decided(&mut self, target: &Target, event: Event) -> StepCommit {
        let found = match (&target.task, &target.issue) {
            (Some(id), _) => self.store.task(*id).await.unwrap(),
            (None, Some(issue)) => self.store.live_task_by_issue(PROJECT, issue).await.unwrap(),
            (None, None) => None,
        };
        let issue = target.issue.clone().unwrap_or_default();
        let task = match found {
            Some(task) => task,
            None => {
                let mut task = Task::unborn(PROJECT.into(), target.repo, &issue, &self.rules.hash);
                task.ledger.stopped_before = self.store.last_stop(PROJECT, &issue).await.unwrap();
                task
            }
        };
        let repo = self.store.repo_by_id(target.repo).await.unwrap();
        let number = issue.trim_start_matches('i').parse().ok();
        let mut facts = Facts::default();
        if task.control.phase == Phase::Unborn {
            let issue = Issue {
                id: issue,
                number,
                title: "A title".to_owned(),
                description: "Words.".to_owned(),
                ..Issue::default()
            };
            facts.0.insert(FactKey::Issue, Fact::Known(Value::Issue(issue)));
        }
        let taken = step_by(&self.rules, &task, &repo, &event, &facts, &AllOk);
        StepCommit {
            seq: event.seq,
            before: (task.version, repo.version),
            stage_before: task.control.stage.clone(),
            task: taken.task,
            repo: taken.repo.unwrap_or(repo),
            decisions: taken.decisions,
            because: taken.because,
            facts,
            follow: taken.follow,
            now: self.now,
            semantics: 1,
            host: "box".to_owned(),
            card: false,
        }
    }

    async fn carry_out(&mut self) -> bool {
        let now = self.tick(Millis(1000));
        let due = self.store.due_effects(now, 64).await.unwrap();
        let any = !due.is_empty();
        for row in due {
            if self.way == Way::Crash && self.lost.insert(row.id) {
                self.effect(&row, false).await;
                // All that was taken comes back with the service.
                self.dies().await;
                return true;
            }
            self.effect(&row, true).await;
        }
        any
    }

    /// Carries an effect out, and records that it was.
    async fn effect(&mut self, row: &OutboxRow, recorded: bool) {
        let now = self.now;
        let event = match &row.effect {
            Effect::Kill { run, .. } => {
                self.store.run_exited(*run, serde_json::json!({ "signal": 15 }), now).await.unwrap();
                None
            }
            Effect::Settle { run } => {
                if recorded {
                    let end = RunEnd::Killed(Kill::Stop);
                    self.store.end_run(*run, end, None, Some(row.id), now).await.unwrap();
                }
                return;
            }
            Effect::CleanUp(what) => match self.cleans(row, what).await {
                Some(event) => event,
                None => return,
            },
            Effect::Act(intent) => {
                let acting = intent.action != "update";
                if acting && self.dark > 0 {
                    self.dark -= 1;
                    return self.store.effect_retry(row.id, "nobody answers", now).await.unwrap();
                }
                let outcome = if !acting || self.way == Way::Window { "ok" } else { "refused" };
                Some(NewEvent {
                    at: now,
                    dedupe: Some(format!("action-{}", row.id)),
                    ..event(
                        row.target.clone(),
                        Body::ActionEnded {
                            visit: intent.visit,
                            action: intent.action.clone(),
                            outcome: outcome.into(),
                            detail: "as told".to_owned(),
                            head: None,
                        },
                    )
                })
            }
            Effect::Status { .. } | Effect::Card => None,
            Effect::Comment { text, .. } | Effect::Alert { text, .. } => {
                if recorded {
                    self.said.push(text.clone());
                }
                None
            }
        };
        if recorded {
            self.store.effect_done(row.id, event, now).await.unwrap();
        }
    }

    /// The clean-up: only when no run is left, and while the task still holds its keys.
    async fn cleans(&mut self, row: &OutboxRow, what: &CleanUp) -> Option<Option<NewEvent>> {
        let now = self.now;
        let id = row.target.task.unwrap();
        let mut runs = self.store.runs(id).await.unwrap();
        for run in runs.iter_mut().filter(|r| r.state == RunState::Exited) {
            // What it left would be settled behind the clean-up, and counts for nothing.
            let end = RunEnd::Killed(Kill::Stop);
            assert!(self.store.end_run(run.id, end, None, None, now).await.unwrap());
            run.state = RunState::Ended;
        }
        let alive = runs.iter().any(|r| r.state != RunState::Ended);
        if alive || (what.report && self.dark > 0) {
            self.dark = self.dark.saturating_sub(1);
            self.store.effect_retry(row.id, "not yet", now).await.unwrap();
            return None;
        }
        let task = self.store.task(id).await.unwrap().unwrap();
        let holder = self.store.live_task_by_issue(PROJECT, &task.issue).await.unwrap();
        assert_eq!(holder.map(|t| t.id), Some(id), "another has its keys while it is cleaned up after");
        assert!(
            what.report == (task.control.phase == Phase::Live),
            "cleaned up after as stopped while {:?}",
            task.control.phase
        );
        Some(what.report.then(|| NewEvent {
            at: now,
            dedupe: Some(format!("cleaned-{}", row.id)),
            ..event(
                row.target.clone(),
                Body::CleanedUp {
                    report: "all gone".to_owned(),
                },
            )
        }))
    }
}
