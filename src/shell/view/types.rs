//! The shapes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Stamp;

macro_rules! shapes {
    ($($(#[$meta:meta])* struct $name:ident { $($(#[$field_meta:meta])* $field:ident : $ty:ty,)* })*) => {$(
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
        pub struct $name { $($(#[$field_meta])* pub $field: $ty,)* }
    )*};
}

shapes! {
    /// A reason why something waits.
    struct BlockerView {
        /// Stable code, `LANE_HELD`.
        code: String,
        /// One sentence.
        text: String,
        /// Since when.
        since: Stamp,
        /// Who can clear it: `itself`, `approver`, `operator`, `anyone`, `other_task`.
        who: String,
        /// The command that clears it, where one does.
        clear: Option<String>,
    }

    /// How much of a counter is used up.
    struct CounterView {
        /// Returns used up.
        used: u8,
        /// Returns allowed; absent where the rules no longer name the counter.
        max: Option<u8>,
    }

    /// A task on one line.
    struct TaskLine {
        /// Row id, `#7` on the command line.
        id: i64,
        /// Work item id, `ORCH-001`; of a cancelled task `ORCH-001~1`.
        item: String,
        /// Project.
        project: String,
        /// Title of the issue.
        title: String,
        /// The stage it stands at.
        stage: String,
        /// Its visit of that stage: how many stages have been entered so far.
        visit: u32,
        /// `active`, `question`, `escalated`, `stopping`, `stop_deferred`, `done`, `cancelled`.
        mode: String,
        /// Where in the stage, in words.
        at: String,
        /// When the stage was entered.
        since: Stamp,
        /// The most decisive reason why it waits.
        blocker: Option<BlockerView>,
        /// Returns used up, by counter.
        counters: BTreeMap<String, CounterView>,
        /// Human review time so far, the open period included.
        review_ms: i64,
    }

    /// All tasks that are not over.
    struct StatusView {
        /// The service's version.
        version: String,
        /// Now, by the service's clock.
        now: Stamp,
        /// How many of them wait for a person.
        attention: usize,
        /// What is promised about ending processes: `pidns`, `cgroup` or `tagged`.
        containment: String,
        /// The tasks: those that wait for a person first, then by id.
        tasks: Vec<TaskLine>,
        /// What is wrong around the tasks, such as a chat that takes nothing.
        #[serde(default)]
        problems: Vec<ProblemView>,
    }

    /// Something that is wrong and stops no task.
    struct ProblemView {
        /// One sentence.
        text: String,
        /// Since when.
        since: Stamp,
    }

    /// A list of tasks.
    struct TasksView {
        /// Now, by the service's clock.
        now: Stamp,
        /// The tasks, newest first.
        tasks: Vec<TaskLine>,
    }

    /// One visit of a stage.
    struct VisitView {
        /// Its number.
        visit: u32,
        /// The stage.
        stage: String,
        /// When it was entered.
        entered_at: Stamp,
        /// When it was left; absent for the present one.
        left_at: Option<Stamp>,
        /// How long it took so far.
        duration_ms: i64,
    }

    /// A job.
    struct JobView {
        /// Its id.
        id: i64,
        /// Its task.
        item: String,
        /// Agent, or gate for a gate's command.
        slot: String,
        /// `agent` or `command`.
        kind: String,
        /// The stage.
        stage: String,
        /// The visit.
        visit: u32,
        /// `scheduled`, `queued`, `running`, `done`, `failed`, `cancelled`.
        state: String,
        /// Times it was claimed.
        attempts: u32,
        /// Not before.
        available_at: Stamp,
        /// When it was queued.
        created_at: Stamp,
        /// When it ended.
        ended_at: Option<Stamp>,
        /// Why it ended as it did.
        why: Option<String>,
    }

    /// A run.
    struct RunView {
        /// Its id.
        id: i64,
        /// Its task.
        item: String,
        /// Its job.
        job: i64,
        /// Agent, or gate for a gate's command.
        slot: String,
        /// The stage.
        stage: String,
        /// The visit.
        visit: u32,
        /// `starting`, `running`, `exited`, `ended`.
        state: String,
        /// When its place was taken.
        claimed_at: Stamp,
        /// When its process began.
        started_at: Option<Stamp>,
        /// How firmly it is held: `pidns`, `cgroup` or `tagged`.
        containment: Option<String>,
        /// When it was settled.
        ended_at: Option<Stamp>,
        /// How it ended: `ok`, `exited`, `no_output`, `out_of_scope`, `failed`, `transient`, `limited`, `killed`, `lost`.
        outcome: Option<String>,
        /// What people should know about its end.
        detail: Option<String>,
        /// Tokens read.
        input_tokens: u64,
        /// Tokens written.
        output_tokens: u64,
        /// United States dollars.
        cost_usd: f64,
        /// Tokens read that came from a cache; among `input_tokens`.
        cached_tokens: u64,
        /// Turns between agent and model, as far as the agent tells.
        turns: u32,
        /// Milliseconds that the agent says it worked.
        agent_ms: u64,
        /// The model that did most of the work, as the agent tells.
        model: Option<String>,
        /// The agent's own name for its session.
        session: Option<String>,
        /// Calls of tools that were refused.
        denied: u32,
        /// The tools of the first of them.
        denials: Vec<String>,
        /// The cost that the agent claims, where that cannot be and counts for nothing.
        doubted: Option<String>,
        /// Where its log is read.
        log: String,
    }

    /// Runs.
    struct RunsView {
        /// Now, by the service's clock.
        now: Stamp,
        /// The runs, newest first.
        runs: Vec<RunView>,
        /// What `before` of the next request takes; absent when these are the last.
        next: Option<i64>,
    }

    /// A line of a bill.
    struct CostLine {
        /// Task, project, agent or day (UTC).
        key: String,
        /// Its runs of agents that ended.
        runs: u64,
        /// Tokens read.
        input_tokens: u64,
        /// Tokens written.
        output_tokens: u64,
        /// United States dollars.
        cost_usd: f64,
    }

    /// How a project's budgets stand.
    struct BudgetView {
        /// The project.
        project: String,
        /// What its agents have cost today (UTC).
        day_usd: f64,
        /// Runs of agents that began today (UTC).
        day_runs: u32,
        /// When the day ends.
        day_ends: Stamp,
        /// What one run may cost.
        max_run_usd: Option<f64>,
        /// What a task may cost.
        max_task_usd: Option<f64>,
        /// Runs that a task may have.
        max_task_runs: Option<u32>,
        /// What a day may cost.
        max_day_usd: Option<f64>,
        /// Runs that a day may have.
        max_day_runs: Option<u32>,
    }

    /// What agents cost.
    struct CostView {
        /// Now, by the service's clock.
        now: Stamp,
        /// Runs that ended since are counted.
        since: Stamp,
        /// How many there are.
        runs: u64,
        /// What they cost.
        cost_usd: f64,
        /// By what was asked for: the dearest first; days in order.
        lines: Vec<CostLine>,
        /// How the budgets stand, by project.
        budgets: Vec<BudgetView>,
    }

    /// A breaker was closed.
    struct BreakerView {
        /// The command.
        command: String,
        /// Whether it held anything back.
        closed: bool,
    }

    /// What a gate of the present stage said last.
    struct GateView {
        /// The gate.
        gate: String,
        /// Its last words in this visit; absent when it was not asked yet.
        said: Option<String>,
    }

    /// A comment on the issue.
    struct CommentView {
        /// Who.
        author: String,
        /// When.
        at: Stamp,
        /// The text, Markdown.
        text: String,
    }

    /// A change request.
    struct ChangeView {
        /// Its number on the forge.
        number: i64,
        /// `open`, `merged`, `closed`.
        state: String,
        /// Title.
        title: String,
        /// The branch it merges into.
        base: String,
        /// Its head commit.
        head: String,
        /// The merge commit.
        merged: Option<String>,
    }

    /// What a person may do with a task.
    struct ActView {
        /// `approve`, `reject`, `answer`, `stop`, `retry`, `start`.
        act: String,
        /// Whether it is possible now.
        possible: bool,
        /// Why not, or what it would do.
        why: String,
    }

    /// Everything about a task.
    struct ShowView {
        /// Now, by the service's clock.
        now: Stamp,
        /// The task.
        task: TaskLine,
        /// Reference of the issue, `project#3`, where it has a number.
        issue: String,
        /// The issue's status on the board.
        status: Option<String>,
        /// Labels.
        labels: Vec<String>,
        /// The issue's text.
        description: String,
        /// Task branch.
        branch: String,
        /// Its head, as recorded.
        head: Option<String>,
        /// The change request.
        change: Option<ChangeView>,
        /// The repository that its branch and its merge are in.
        repository: Option<String>,
        /// Pipeline, where its rules can be read.
        pipeline: Option<String>,
        /// Hash of the rules it runs under.
        rules: String,
        /// When it began.
        created_at: Stamp,
        /// When it ended.
        ended_at: Option<Stamp>,
        /// The stop that was asked for.
        #[serde(default)]
        stop: Option<DeferredView>,
        /// When the open period of human review began; absent when none is open.
        #[serde(default)]
        review_started_at: Option<Stamp>,
        /// When the last period of human review ended.
        #[serde(default)]
        review_ended_at: Option<Stamp>,
        /// The open question.
        question: Option<String>,
        /// All reasons why it waits.
        blockers: Vec<BlockerView>,
        /// Visits, oldest first.
        timeline: Vec<VisitView>,
        /// Gates of the present stage.
        gates: Vec<GateView>,
        /// Jobs, oldest first.
        jobs: Vec<JobView>,
        /// Runs, oldest first.
        runs: Vec<RunView>,
        /// Comments, oldest first.
        comments: Vec<CommentView>,
        /// What a person may do.
        acts: Vec<ActView>,
        /// What all runs cost.
        cost_usd: f64,
    }

    /// Why a task waits.
    struct WhyView {
        /// Now, by the service's clock.
        now: Stamp,
        /// The task.
        item: String,
        /// The stage.
        stage: String,
        /// See [`TaskLine`].
        mode: String,
        /// One sentence that sums it up.
        sentence: String,
        /// All reasons, most decisive first.
        blockers: Vec<BlockerView>,
        /// Runs at work for it.
        runs: Vec<RunView>,
    }

    /// A row of a task's history: an event and what followed from it.
    struct HistoryRow {
        /// Place in the order of decisions: what `after` of the timeline takes.
        place: i64,
        /// The event.
        seq: i64,
        /// When it was recorded.
        at: Stamp,
        /// The task; absent for an issue that became none.
        item: Option<String>,
        /// Project.
        project: String,
        /// Who.
        actor: String,
        /// What happened, in words.
        what: String,
        /// The stage before.
        from: String,
        /// The stage afterwards.
        to: String,
        /// The visit afterwards.
        visit: u32,
        /// Why, in sentences.
        because: Vec<String>,
        /// What followed, in words.
        decisions: Vec<String>,
    }

    /// A task's history, oldest first.
    struct HistoryView {
        /// The task.
        item: String,
        /// The rows.
        rows: Vec<HistoryRow>,
    }

    /// What was decided since.
    struct TimelineView {
        /// The rows, oldest first.
        rows: Vec<HistoryRow>,
        /// What `after` of the next request takes.
        next: i64,
    }

    /// A job that waits, with all that holds it back.
    struct WaitingView {
        /// The job.
        job: JobView,
        /// All blockers; none: it starts now.
        blockers: Vec<BlockerView>,
    }

    /// A freeze, a change of its level, or a thaw.
    struct FreezeView {
        /// `set`, `changed` or `lifted`.
        what: String,
        /// `merge` or `all`.
        level: String,
        /// Why.
        reason: String,
        /// Who did it.
        who: String,
        /// When.
        at: Stamp,
        /// What it was decided on.
        evidence: String,
    }

    /// What a task waits for.
    struct DependencyView {
        /// The task that waits.
        item: String,
        /// What it waits for.
        on: String,
        /// Where that stands: a stage, or `not started`.
        state: String,
        /// Where it was declared: `relation`, `text` or `command`.
        source: String,
        /// Since when.
        since: Stamp,
    }

    /// Dependencies between tasks.
    struct TaskDepsView {
        /// Whether some project's rules know dependencies.
        enabled: bool,
        /// Projects whose rules do.
        repos: Vec<String>,
        /// Tasks that wait for another.
        blocked: u64,
        /// Dependencies that hold a task back.
        open: Vec<DependencyView>,
    }

    /// The serial gate of a project.
    struct SerialGateView {
        /// Whether it is on.
        enabled: bool,
        /// Tasks past the gate.
        inside: Vec<String>,
        /// Unfinished tasks before it, in order.
        waiting: Vec<String>,
        /// The freeze in force, in words.
        frozen: Option<String>,
        /// Since when it is frozen.
        frozen_since: Option<Stamp>,
        /// The last freezes and thaws, newest first.
        history: Vec<FreezeView>,
        /// Stages that only one task at a time may enter.
        guards: Vec<String>,
        /// `repository`, or `service` where tasks of other repositories hold its own back, too.
        #[serde(default)]
        scope: String,
        /// Jobs that failed for good in a row.
        #[serde(default)]
        failures: u32,
        /// The task that holds the merge lease.
        lease: Option<String>,
    }

    /// Stops.
    struct StopView {
        /// Whether some project's board has a stop.
        enabled: bool,
        /// Projects whose board has one.
        repos: Vec<String>,
        /// Cancelled tasks.
        cancelled_count: u64,
        /// Stops that wait for an irreversible step to end.
        deferred_pending: u64,
        /// The stops that wait, oldest first.
        #[serde(default)]
        deferred: Vec<DeferredView>,
        /// Stops that are being carried out: processes are ended and cleaned up after.
        #[serde(default)]
        stopping: Vec<DeferredView>,
        /// The last cancelled tasks, newest first.
        recent: Vec<String>,
    }

    /// A stop that was asked for.
    struct DeferredView {
        /// The task.
        item: String,
        /// Who asked for it.
        who: String,
        /// When.
        since: Stamp,
        /// Where it was put off: until when at most the rules foresee that the step lasts; after that operators are told once more.
        until: Option<Stamp>,
        /// The reason given.
        #[serde(default)]
        reason: Option<String>,
    }

    /// A label that passes a human gate.
    struct AutoLabelView {
        /// The standing order's name in the rules.
        name: String,
        /// The label.
        label: String,
        /// Paths whose change suspends it.
        suspended_by: Vec<String>,
    }

    /// The breaker of an agent command.
    struct CommandView {
        /// `closed`, `open` or `half_open`.
        state: String,
        /// Failures by weather in a row.
        consecutive_transient: u32,
        /// Seconds until something is tried again.
        pause_remaining_s: i64,
        /// Why it is open, or what the usage limit in force said.
        why: Option<String>,
        /// Since when it is open, or half open.
        #[serde(default)]
        since: Option<Stamp>,
        /// When it lets one run try the command out: ahead while it is open, over while it is half open.
        #[serde(default)]
        until: Option<Stamp>,
        /// The run that is trying it out, while it is half open.
        #[serde(default)]
        probing: Option<i64>,
        /// Since when the usage limit in force is known.
        #[serde(default)]
        limited_since: Option<Stamp>,
        /// The usage limit in force ends then.
        limited_until: Option<Stamp>,
    }

    /// What holds agents back whatever task they are for.
    struct ResilienceView {
        /// The worst breaker of all commands.
        breaker: CommandView,
        /// Every breaker that is known, by command.
        commands: BTreeMap<String, CommandView>,
        /// Whether every command that jobs wait for can be used, as far as it was looked at.
        preflight_ok: bool,
        /// Why not.
        preflight_reason: Option<String>,
    }

    /// The search for runs that nobody follows.
    struct ReaperView {
        /// Seconds between two looks.
        interval: u64,
        /// Runs that have not ended.
        open_runs: u64,
    }

    /// Events that were lost between deliveries and found by looking. This version looks for them at its start only, and
    /// when a later delivery names the same issue.
    struct ReconcileView {
        /// Whether anything looks from time to time.
        enabled: bool,
        /// Whether boards are looked at as well.
        plane_enabled: bool,
        /// Seconds between two looks.
        interval: Option<u64>,
        /// When the last look was.
        last_run_ts: Option<Stamp>,
        /// Tasks that went on because of one.
        unblocked_total: u64,
        /// The last of them.
        last_unblocked: Option<String>,
        /// Tasks that were over, and passed by.
        skipped_terminal_total: u64,
    }

    /// The watch over what was deployed. This version has none.
    struct PostDeployView {
        /// Whether there is one.
        enabled: bool,
        /// Tasks whose deployment is watched.
        watching: Vec<String>,
    }

    /// Commands that are run from time to time. This version has none, and refuses rules that name any.
    struct MaintenanceView {
        /// Whether there are any.
        enabled: bool,
        /// When the last one ran.
        last_run_ts: Option<Stamp>,
        /// Why the last one failed.
        last_error: Option<String>,
    }

    /// Room where the service keeps its data.
    struct DiskView {
        /// The data directory.
        path: String,
        /// Bytes that are free for the service.
        free_bytes: u64,
        /// Bytes in all.
        total_bytes: u64,
    }

    /// The queue. A block that could not be had is `{"error": …}` and breaks no other.
    struct QueueView {
        /// Why nothing is started at all, whatever waits; absent while something may be.
        #[serde(default)]
        held: Option<ProblemView>,
        /// Jobs by state, zeros included.
        counts: Part<BTreeMap<String, u64>>,
        /// Runs at a time, in all.
        max_concurrency: u32,
        /// Seconds between two safety looks at everything.
        poll_interval: u64,
        /// Breakers and preflight of agent commands.
        resilience: Part<ResilienceView>,
        /// Lost events.
        reconcile: ReconcileView,
        /// The search for runs that nobody follows.
        reaper: Part<ReaperView>,
        /// The watch over deployments.
        post_deploy: PostDeployView,
        /// Dependencies between tasks.
        task_deps: Part<TaskDepsView>,
        /// By project.
        serial_gate: Part<BTreeMap<String, SerialGateView>>,
        /// Stops.
        stop: Part<StopView>,
        /// Standing orders by label, by project.
        auto_labels: Part<BTreeMap<String, Vec<AutoLabelView>>>,
        /// Room for the service's data.
        disk: Part<DiskView>,
        /// Periodic commands.
        maintenance: MaintenanceView,
        /// Jobs that wait, in the order in which they start.
        waiting: Part<Vec<WaitingView>>,
        /// The last ten jobs, newest first.
        recent: Part<Vec<JobView>>,
    }

    /// Whether the service is well.
    struct HealthView {
        /// `ok`, `draining`, or `degraded`: nothing is started.
        status: String,
        /// Its version.
        version: String,
        /// Seconds since it began.
        uptime_s: i64,
        /// What is promised about ending processes: `pidns`, `cgroup` or `tagged`.
        containment: String,
        /// `ok`, or what is wrong with the database and what to do about it.
        database: String,
        /// Since when something is wrong with it.
        since: Option<Stamp>,
    }

    /// A project.
    struct ProjectView {
        /// Its name.
        name: String,
        /// Prefix of work item ids.
        prefix: String,
        /// Pipeline.
        pipeline: String,
        /// Hash of its rules.
        rules: String,
        /// Stages in order.
        flow: Vec<String>,
        /// Statuses that are signals: status → signal.
        signals: BTreeMap<String, String>,
    }

    /// Projects.
    struct ProjectsView {
        /// By name.
        projects: Vec<ProjectView>,
    }

    /// A piece of a log.
    struct LogView {
        /// The text, with control characters defused unless it was asked for raw.
        text: String,
        /// At which byte of the log the text begins.
        #[serde(default)]
        from: u64,
        /// Where to read on.
        next: u64,
        /// Whether the run has ended: nothing more will come once a piece is empty.
        ended: bool,
    }

    /// An act was recorded.
    struct DoneView {
        /// What it was done to: a task, `ORCH-001`, or an issue, `project#3`.
        item: String,
        /// One sentence.
        message: String,
        /// The event that was recorded; absent when nothing had to be.
        seq: Option<i64>,
        /// Number of the issue, where one was made or touched.
        number: Option<i64>,
    }

    /// A request was refused.
    struct ErrorView {
        /// What is wrong.
        error: String,
        /// What to do about it.
        help: Option<String>,
        /// Stable code, `not_found`.
        code: String,
    }
}

/// A block of an answer, or why it could not be had.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum Part<T> {
    /// It could not be had.
    Failed {
        /// Why.
        error: String,
    },
    /// It.
    Known(T),
}

impl<T, E: std::fmt::Display> From<Result<T, E>> for Part<T> {
    fn from(outcome: Result<T, E>) -> Self {
        match outcome {
            Ok(value) => Self::Known(value),
            Err(e) => Self::Failed { error: e.to_string() },
        }
    }
}
