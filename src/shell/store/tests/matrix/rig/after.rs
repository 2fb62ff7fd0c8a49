//! What must hold when it is over.

use super::*;

impl Rig {
    pub(super) async fn outcome(&mut self, ended: &Task, deferred: bool) -> String {
        let stops = |text: &&String| text.contains("was stopped");
        let said = self.said.iter().filter(stops).count();
        let mut words = Vec::new();
        if deferred {
            words.push("deferred".to_owned());
        }
        match ended.control.phase {
            Phase::Cancelled => {
                // One comment, one alert, however often it was asked for.
                assert_eq!(said, 2, "{:?}", self.said);
                assert_eq!(self.store.item_label(self.task).await.unwrap(), Some(format!("{}~1", ended.item)));
                words.push("cancelled".to_owned());
            }
            Phase::Done => {
                assert_eq!(said, 0, "{:?}", self.said);
                words.push("done".to_owned());
            }
            other => panic!("it ended {other:?}"),
        }
        if let Some(fresh) = self.fresh().await {
            assert_eq!(fresh.item, ended.item, "the keys are free");
            assert!(fresh.control.stop == StopState::No && fresh.control.phase == Phase::Live);
            words.push("fresh".to_owned());
        }
        assert_eq!(
            words.contains(&"fresh".to_owned()),
            self.way == Way::Start && ended.control.phase == Phase::Cancelled
        );
        words.join(", ")
    }

    /// The task that the issue has now besides the one that was stopped.
    async fn fresh(&self) -> Option<Task> {
        let issue = self.target.issue.clone().unwrap_or_default();
        let now = self.store.live_task_by_issue(PROJECT, &issue).await.unwrap();
        now.filter(|t| t.id != self.task)
    }

    /// I6: no run, job, timer, lease or seat of it, and nothing that could be claimed.
    pub(super) async fn nothing_is_left(&self, stage: &Name, state: State) {
        let place = format!("{stage} {state:?} {:?}", self.way);
        let runs = self.store.runs(self.task).await.unwrap();
        assert!(runs.iter().all(|r| r.state == RunState::Ended), "{place}: {runs:?}");
        let open = [JobState::Scheduled, JobState::Queued, JobState::Running];
        let jobs = self.store.jobs(self.task).await.unwrap();
        assert!(jobs.iter().all(|j| !open.contains(&j.state)), "{place}: {jobs:?}");
        assert_eq!(self.store.timers(self.task).await.unwrap(), vec![], "{place}");
        let repo = self.store.repo_by_id(self.target.repo).await.unwrap();
        assert!(repo.seat(self.task).is_none(), "{place}: a seat is left");
        let lease = repo.lease.as_ref();
        assert!(
            lease.is_none_or(|l| l.task != self.task && !l.queue.contains(&self.task)),
            "{place}: {lease:?}"
        );
        assert_eq!(lease.is_some(), state == State::Leaseless, "{place}: {lease:?}");
        assert!(lease.is_none_or(|l| l.task == TaskId(OTHER)), "{place}: {lease:?}");
        let effects = self.store.outbox_open().await.unwrap();
        assert!(effects.iter().all(|e| e.target.task != Some(self.task)), "{place}: {effects:?}");
        // I3: what has ended cannot be ended, started or claimed once more.
        for run in runs {
            let again = self.store.end_run(run.id, RunEnd::Ok, None, None, self.now).await;
            assert_eq!(again, Ok(false), "{place}");
            assert!(self.store.run_started(run.id, process(9), None, self.now).await.is_err(), "{place}");
        }
        for job in jobs {
            assert!(self.store.claim(claim(job.id, "elsewhere")).await.is_err(), "{place}");
        }
    }

    /// I5: whatever comes afterwards, the task stays as it ended. What was started anew is stopped.
    pub(super) async fn nothing_revives(&mut self) {
        let before = self.now_task().await;
        for (actor, body) in afterwards(before.ledger.visit.number, self.now) {
            let event = Event {
                seq: Seq(1),
                at: self.now,
                cause: None,
                actor,
                body,
            };
            let repo = Repo::default();
            let taken = step_by(&self.rules, &before, &repo, &event, &Facts::default(), &AllOk);
            assert_eq!((&taken.task, &taken.repo, &taken.follow), (&before, &None, &None), "{event:?}");
            assert_eq!(taken.decisions, [], "no second notification: {event:?}");
        }
        // And through the store, whose own guards count, too.
        self.said.clear();
        self.tell(poked()).await;
        self.signal("stop", self.target.clone()).await;
        self.way = Way::Plain;
        self.run().await;
        let after = self.now_task().await;
        assert_eq!(Task { version: 0, ..after }, Task { version: 0, ..before }, "it is over");
        assert_eq!(self.said, Vec::<String>::new(), "no second notification");
        if let Some(fresh) = self.fresh().await {
            let mut target = self.target.clone();
            target.task = Some(fresh.id);
            self.signal("stop", target).await;
            self.run().await;
            assert_eq!(self.store.task(fresh.id).await.unwrap().unwrap().control.phase, Phase::Cancelled);
        }
        assert!(self.store.queue(T0).await.unwrap().waiting.is_empty());
    }
}

/// Whatever may still come about a task that is over.
fn afterwards(visit: u32, now: Millis) -> Vec<(Actor, Body)> {
    let boss = Actor::Person {
        name: "alice".to_owned(),
        via: Via::Cli,
        roles: vec![Role::Operator, Role::Approver],
    };
    let run = RunReport {
        run: RunId(900_001),
        job: JobId(900_001),
        visit,
        slot: "developer".into(),
        end: RunEnd::Ok,
        start: None,
        head: Some(head(4)),
        nonce: "n".to_owned(),
        wrote: Vec::new(),
        usage: Usage::default(),
        heard: Seq(0),
    };
    let acted = Body::ActionEnded {
        visit,
        action: "merge".into(),
        outcome: "ok".into(),
        detail: String::new(),
        head: Some(head(5)),
    };
    let service = [
        poked(),
        Body::Entered { visit },
        Body::TimerFired {
            visit,
            timer: "stop".into(),
        },
        Body::CleanedUp { report: String::new() },
        Body::RunEnded(run),
        acted,
    ];
    let said = ["approve", "reject", "answer", "confirm_deploy", "stop"].map(|name| {
        Body::Signalled(Signal {
            name: name.into(),
            text: Some("words".to_owned()),
            activity: String::new(),
            acted_at: now,
        })
    });
    let mut all: Vec<_> = service.into_iter().map(|body| (Actor::Service, body)).collect();
    all.extend(said.into_iter().map(|body| (boss.clone(), body)));
    all.push((boss, Body::Retried { note: None }));
    all
}
