//! What the server remembers.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};

use super::hooks::{Delivery, Hooks};
use super::{ANALYST, KEY, PROJECT};

/// Something that goes wrong, the next `times` that method and path fit.
#[derive(Debug, Clone)]
pub struct Fault {
    /// Any, where empty.
    pub method: &'static str,
    /// What the path contains.
    pub path: &'static str,
    pub times: usize,
    pub kind: Kind,
}

impl Fault {
    /// Every request from now on.
    pub fn always(kind: Kind) -> Self {
        Self {
            method: "",
            path: "",
            times: usize::MAX,
            kind,
        }
    }

    /// The next request that fits.
    pub fn once(method: &'static str, path: &'static str, kind: Kind) -> Self {
        Self {
            method,
            path,
            times: 1,
            kind,
        }
    }
}

/// How it goes wrong.
#[derive(Debug, Clone)]
pub enum Kind {
    /// Refused with this answer; nothing was changed.
    Status(u16, Json),
    /// Answered late.
    Slow(Duration),
    /// What was asked for is done, and the answer breaks off.
    HangUp,
    /// JSON that ends in the middle.
    Broken,
    /// A page of a proxy.
    Page,
    /// The key has no requests left for so many seconds.
    Full(u64),
}

pub struct User {
    pub id: String,
    pub display_name: String,
    pub email: String,
    /// Whether it is a member of the project.
    pub member: bool,
}

pub struct BoardState {
    pub id: String,
    pub name: String,
    pub group: &'static str,
}

pub struct Label {
    pub id: String,
    pub name: String,
}

pub struct Item {
    pub id: String,
    pub number: i64,
    pub name: String,
    pub html: String,
    pub state: String,
    pub labels: Vec<String>,
    pub created_by: String,
    pub updated_by: Option<String>,
    pub created_at: String,
    pub updated_at: String,
}

pub struct Comment {
    pub id: String,
    pub issue: String,
    pub actor: String,
    pub html: String,
    pub created_at: String,
    pub external: Option<(String, String)>,
}

/// What is changed: of both sides the words and the id, empty where there is none.
#[derive(Default)]
struct Change {
    /// Empty where the issue is made.
    field: &'static str,
    old: (String, Option<String>),
    new: (String, Option<String>),
}

pub struct Activity {
    pub id: String,
    pub issue: String,
    pub actor: String,
    pub field: &'static str,
    /// Empty where something was taken away.
    pub new_value: String,
    pub new_identifier: Option<String>,
    /// Empty where something was added.
    pub old_value: String,
    pub old_identifier: Option<String>,
    pub created_at: String,
    /// When the history shows it.
    pub shown: Instant,
}

pub struct Board {
    pub users: Vec<User>,
    pub keys: Vec<(&'static str, String)>,
    pub states: Vec<BoardState>,
    pub label_list: Vec<Label>,
    /// What keys of issues begin with.
    pub identifier: String,
    pub archived: bool,
    pub items: Vec<Item>,
    pub comments: Vec<Comment>,
    pub activities: Vec<Activity>,
    /// How long after a change the history shows it.
    pub late: Duration,
    pub hooks: Hooks,
    pub deliveries: Vec<Delivery>,
    pub faults: Vec<Fault>,
    pub work_items: bool,
    pub issues: bool,
    /// Who blocks whom, as pairs of ids; none where the server tells no relations.
    pub relations: Option<Vec<(String, String)>>,
    pub limit: usize,
    /// Requests of the last minute, by key.
    pub used: BTreeMap<String, VecDeque<Instant>>,
    pub asked: Vec<(String, String, u16)>,
    last: i64,
}

/// Ids that look like Plane's; the first group is a counter, so that they can be told apart.
fn uuid(kind: u16, n: usize) -> String {
    format!("{n:08x}-{kind:04x}-4000-8000-000000000000")
}

impl Board {
    pub fn new(states: &[&str]) -> Self {
        let people = ["signalbox-bot", "analyst-bot", "alice", "bob", "mallory"];
        let users = people.iter().enumerate().map(|(n, name)| User {
            id: uuid(1, n + 1),
            display_name: (*name).to_owned(),
            email: format!("{name}@example.com"),
            member: true,
        });
        let group = |name: &str| match name {
            "Backlog" => "backlog",
            "Done" => "completed",
            "Cancelled" | "STOP" | "Rejected" | "Duplicate" => "cancelled",
            "Todo" | "To Analyse" => "unstarted",
            _ => "started",
        };
        let own = ["Backlog", "Todo", "In Progress", "Done", "Cancelled", "Duplicate"];
        let all = own.iter().chain(states.iter().filter(|s| !own.contains(s)));
        Self {
            users: users.collect(),
            keys: vec![(KEY, uuid(1, 1)), (ANALYST, uuid(1, 2))],
            states: all
                .enumerate()
                .map(|(n, name)| BoardState {
                    id: uuid(2, n + 1),
                    name: (*name).to_owned(),
                    group: group(name),
                })
                .collect(),
            label_list: Vec::new(),
            identifier: "ORCH".to_owned(),
            archived: false,
            items: Vec::new(),
            comments: Vec::new(),
            activities: Vec::new(),
            late: Duration::ZERO,
            hooks: Hooks::Lost,
            deliveries: Vec::new(),
            faults: Vec::new(),
            work_items: true,
            issues: true,
            relations: None,
            limit: 10_000,
            used: BTreeMap::new(),
            asked: Vec::new(),
            last: 0,
        }
    }

    /// Now, as Plane writes it; never the same moment twice.
    fn now(&mut self) -> String {
        let now = jiff::Timestamp::now().as_microsecond().max(self.last + 1000);
        self.last = now;
        let now = jiff::Timestamp::from_microsecond(now).expect("a time");
        now.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string()
    }

    pub fn user_named(&self, name: &str) -> String {
        self.users
            .iter()
            .find(|u| u.display_name == name)
            .unwrap_or_else(|| panic!("no {name}"))
            .id
            .clone()
    }

    pub fn user(&self, id: &str) -> &User {
        self.users.iter().find(|u| u.id == id).expect("the user")
    }

    pub fn state_name(&self, id: &str) -> String {
        self.states.iter().find(|s| s.id == id).map(|s| s.name.clone()).unwrap_or_default()
    }

    pub fn fault(&mut self, method: &str, path: &str) -> Option<Kind> {
        let fits = |f: &&mut Fault| f.times > 0 && (f.method.is_empty() || f.method == method) && path.contains(f.path);
        let fault = self.faults.iter_mut().find(fits)?;
        fault.times = fault.times.saturating_sub(1);
        Some(fault.kind.clone())
    }

    /// Makes an issue. No entry of its history tells of the labels that it was made with.
    pub fn create(&mut self, by: &str, title: &str, html: &str, labels: &[&str]) -> String {
        let labels = self.label_ids(labels);
        let now = self.now();
        let number = self.items.iter().map(|i| i.number).max().unwrap_or(0) + 1;
        let id = uuid(3, number.unsigned_abs() as usize);
        self.items.push(Item {
            id: id.clone(),
            number,
            name: title.to_owned(),
            html: sanitised(html),
            state: self.states[0].id.clone(),
            labels,
            created_by: by.to_owned(),
            updated_by: None,
            created_at: now.clone(),
            updated_at: now.clone(),
        });
        let made = Change::default();
        self.act(&id, by, made, &now);
        self.tell_issue(&id, by, "created", None);
        id
    }

    fn act(&mut self, issue: &str, by: &str, change: Change, at: &str) {
        let id = uuid(5, self.activities.len() + 1);
        self.activities.push(Activity {
            id,
            issue: issue.to_owned(),
            actor: by.to_owned(),
            field: change.field,
            new_value: change.new.0,
            new_identifier: change.new.1,
            old_value: change.old.0,
            old_identifier: change.old.1,
            created_at: at.to_owned(),
            shown: Instant::now() + self.late,
        });
    }

    fn changed(&mut self, issue: &str, by: &str) -> (&mut Item, String) {
        let now = self.now();
        let item = self.items.iter_mut().find(|i| i.id == issue).expect("the issue");
        item.updated_at.clone_from(&now);
        item.updated_by = Some(by.to_owned());
        (item, now)
    }

    /// Moves an issue; `field` is what the writer calls it. The same state again is no change.
    pub fn set_state(&mut self, by: &str, issue: &str, status: &str, field: &'static str) {
        let state = self
            .states
            .iter()
            .find(|s| s.name == status)
            .unwrap_or_else(|| panic!("no state {status}"))
            .id
            .clone();
        let item = self.items.iter().find(|i| i.id == issue).expect("the issue");
        let old = item.state.clone();
        if old == state {
            return;
        }
        let (item, now) = self.changed(issue, by);
        item.state.clone_from(&state);
        let change = Change {
            field: "state",
            old: (self.state_name(&old), Some(old.clone())),
            new: (status.to_owned(), Some(state.clone())),
        };
        self.act(issue, by, change, &now);
        self.tell_issue(issue, by, "updated", Some((field, json!(state), json!(old))));
    }

    /// Ids of labels; those that the project lacks are made.
    fn label_ids(&mut self, names: &[&str]) -> Vec<String> {
        let mut ids = Vec::new();
        for name in names {
            let known = self.label_list.iter().find(|l| l.name == *name).map(|l| l.id.clone());
            ids.push(known.unwrap_or_else(|| {
                let id = uuid(4, self.label_list.len() + 1);
                self.label_list.push(Label {
                    id: id.clone(),
                    name: (*name).to_owned(),
                });
                id
            }));
        }
        ids
    }

    /// Sets an issue's labels; each that is added or taken away has an entry of its own in the history.
    pub fn set_labels(&mut self, by: &str, issue: &str, names: &[&str]) {
        let ids = self.label_ids(names);
        let (item, now) = self.changed(issue, by);
        let old = std::mem::replace(&mut item.labels, ids.clone());
        let named = |id: &String| self.label_list.iter().find(|l| l.id == *id).map(|l| l.name.clone());
        let side = |id: &String| (named(id).unwrap_or_default(), Some(id.clone()));
        let added = ids.iter().filter(|id| !old.contains(id)).map(|id| Change {
            field: "labels",
            new: side(id),
            ..Change::default()
        });
        let taken = old.iter().filter(|id| !ids.contains(id)).map(|id| Change {
            field: "labels",
            old: side(id),
            ..Change::default()
        });
        let changes: Vec<Change> = added.chain(taken).collect();
        for change in changes {
            self.act(issue, by, change, &now);
        }
        self.tell_issue(issue, by, "updated", Some(("label_ids", json!(ids), json!(old))));
    }

    pub fn touch(&mut self, by: &str, issue: &str, field: &'static str) {
        self.changed(issue, by);
        self.tell_issue(issue, by, "updated", Some((field, json!(75535.5), json!(75535.0))));
    }

    /// Whatever was done to an issue was done so much earlier.
    pub fn age(&mut self, issue: &str, by: Duration) {
        let earlier = |at: &mut String| {
            let then = at.parse::<jiff::Timestamp>().expect("a time") - by;
            *at = then.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string();
        };
        let item = self.items.iter_mut().find(|i| i.id == issue).expect("the issue");
        earlier(&mut item.created_at);
        earlier(&mut item.updated_at);
        for entry in self.activities.iter_mut().filter(|a| a.issue == issue) {
            earlier(&mut entry.created_at);
        }
    }

    /// A comment; one of the same external id in the project is given back as the error that it is.
    pub fn comment(&mut self, by: &str, issue: &str, html: &str, external: Option<(String, String)>) -> Result<usize, String> {
        if external.is_some()
            && let Some(there) = self.comments.iter().find(|c| c.external == external)
        {
            return Err(there.id.clone());
        }
        let now = self.now();
        self.comments.push(Comment {
            id: uuid(6, self.comments.len() + 1),
            issue: issue.to_owned(),
            actor: by.to_owned(),
            html: sanitised(html),
            created_at: now,
            external,
        });
        // It touches its issue, at once; the real one again when its worker has written the history.
        self.changed(issue, by);
        let at = self.comments.len() - 1;
        self.tell_comment(at, "created");
        Ok(at)
    }

    /// The user of a key.
    pub fn owner(&self, key: &str) -> Option<String> {
        self.keys.iter().find(|(k, _)| *k == key).map(|(_, id)| id.clone())
    }

    /// Counts a request under a key; how long to wait where its minute is full.
    pub fn count(&mut self, key: &str) -> Result<usize, u64> {
        let now = Instant::now();
        let used = self.used.entry(key.to_owned()).or_default();
        while used.front().is_some_and(|at| now.duration_since(*at) >= Duration::from_secs(60)) {
            used.pop_front();
        }
        if used.len() >= self.limit {
            let first = used.front().map_or(60, |at| 60 - at.elapsed().as_secs().min(59));
            return Err(first);
        }
        used.push_back(now);
        Ok(self.limit - used.len())
    }

    pub fn user_json(&self, id: &str) -> Json {
        let user = self.user(id);
        json!({"id": user.id, "first_name": user.display_name, "last_name": "", "email": user.email,
               "avatar": "", "avatar_url": null, "display_name": user.display_name})
    }

    pub fn state_json(&self, id: &str) -> Json {
        let state = self.states.iter().find(|s| s.id == id);
        state.map_or(
            Json::Null,
            |s| json!({"id": s.id, "name": s.name, "color": "#60646C", "group": s.group}),
        )
    }

    pub fn comment_json(&self, at: usize) -> Json {
        let c = &self.comments[at];
        let (source, external) = c.external.clone().map_or((None, None), |(s, e)| (Some(s), Some(e)));
        json!({"id": c.id, "created_at": c.created_at, "updated_at": c.created_at, "deleted_at": null, "comment_html": c.html,
               "attachments": [], "access": "INTERNAL", "external_source": source, "external_id": external, "edited_at": null,
               "created_by": c.actor, "updated_by": null, "project": PROJECT, "workspace": uuid(9, 1), "description": uuid(7, at + 1),
               "issue": c.issue, "actor": c.actor, "parent": null})
    }
}

/// Plane cleans HTML with an allow-list; here only scripts and event handlers go.
fn sanitised(html: &str) -> String {
    let scripts = regex::Regex::new(r"(?is)<script.*?</script>|\son\w+=\S+").expect("a pattern");
    scripts.replace_all(html, "").into_owned()
}
