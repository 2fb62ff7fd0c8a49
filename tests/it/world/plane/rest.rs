//! REST v1, the paths that the service asks for.

use std::time::Instant;

use axum::body::Body;
use axum::http::{Method, Response, Uri};
use futures_util::stream;
use serde_json::{Value as Json, json};

use super::board::{Board, Item};
use super::{PROJECT, WORKSPACE};

/// An answer, or something that should have become one.
pub struct Answer {
    pub status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
    kind: &'static str,
    cut: bool,
}

impl Answer {
    pub fn new(status: u16, body: Json) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: body.to_string().into_bytes(),
            kind: "application/json",
            cut: false,
        }
    }

    pub fn page() -> Self {
        Self {
            body: b"<!DOCTYPE html><html><body>Bad gateway</body></html>".to_vec(),
            kind: "text/html",
            ..Self::new(200, Json::Null)
        }
    }

    pub fn broken() -> Self {
        Self {
            body: b"{\"results\": [{\"id\":".to_vec(),
            ..Self::new(200, Json::Null)
        }
    }

    /// Without the two headers that say what is left.
    pub fn full(wait: u64) -> Self {
        let body = json!({"error_code": 5900, "error_message": "RATE_LIMIT_EXCEEDED"});
        Self::new(429, body).with("retry-after", wait)
    }

    pub fn cut() -> Self {
        Self {
            cut: true,
            ..Self::new(200, Json::Null)
        }
    }

    fn with(mut self, name: &'static str, value: impl ToString) -> Self {
        self.headers.push((name, value.to_string()));
        self
    }

    pub fn send(self) -> Response<Body> {
        let mut answer = Response::builder().status(self.status).header("content-type", self.kind);
        for (name, value) in self.headers {
            answer = answer.header(name, value);
        }
        let body = if self.cut {
            let parts: [Result<&[u8], std::io::Error>; 2] = [Ok(b"{"), Err(std::io::Error::other("gone"))];
            Body::from_stream(stream::iter(parts))
        } else {
            Body::from(self.body)
        };
        answer.body(body).expect("an answer")
    }
}

fn missing() -> Answer {
    Answer::new(404, json!({"error": "The requested resource does not exist."}))
}

/// What Django does before a view, then the view.
///
/// True to the source: the redirect for a missing slash, 401 without and 403 with a wrong key, the
/// limit counted per key, with its headers and body.
pub fn answer(board: &mut Board, method: &Method, uri: &Uri, key: Option<&str>, body: &[u8]) -> Answer {
    if !uri.path().ends_with('/') {
        return Answer::new(301, Json::Null).with("location", format!("{}/", uri.path()));
    }
    let Some(key) = key else {
        return Answer::new(401, json!({"detail": "Authentication credentials were not provided."}));
    };
    let Some(me) = board.owner(key) else {
        return Answer::new(403, json!({"detail": "Given API token is not valid"}));
    };
    let left = match board.count(key) {
        Ok(left) => left,
        Err(wait) => return Answer::full(wait),
    };
    let path: Vec<&str> = uri.path().trim_matches('/').split('/').collect();
    let query = Query(uri.query().unwrap_or_default());
    let body: Json = serde_json::from_slice(body).unwrap_or_default();
    let answer = match path.as_slice() {
        // True: the owner of the key, whatever they are member of. Left out: what nobody asks for, as their time zone.
        ["api", "v1", "users", "me"] => Answer::new(200, board.user_json(&me)),
        ["api", "v1", "workspaces", slug, "projects", project, rest @ ..] => {
            if *slug != WORKSPACE || *project != PROJECT || !board.user(&me).member {
                Answer::new(403, json!({"detail": "You do not have permission to perform this action."}))
            } else {
                in_project(board, method, rest, &query, &me, &body)
            }
        }
        _ => Answer::new(404, json!({"error": "Page not found."})),
    };
    answer
        .with("x-ratelimit-remaining", left)
        .with("x-ratelimit-reset", jiff::Timestamp::now().as_second() + 60)
}

struct Query<'a>(&'a str);

impl Query<'_> {
    fn get(&self, name: &str) -> Option<String> {
        let pair = self.0.split('&').filter_map(|p| p.split_once('=')).find(|(n, _)| *n == name)?;
        Some(pair.1.replace("%3A", ":").replace("%2C", ","))
    }
}

/// The part of a listing that is asked for. `next_cursor` is always there; `?page=` is ignored.
fn page(query: &Query<'_>, all: Vec<Json>) -> Answer {
    let cursor = query.get("cursor").unwrap_or_default();
    let mut parts = cursor.split(':');
    let per_page = query
        .get("per_page")
        .or(parts.next().map(str::to_owned))
        .and_then(|p| p.parse().ok())
        .unwrap_or(1000_usize);
    if per_page > 1000 {
        return Answer::new(400, json!({"detail": "Invalid per_page value. Cannot exceed 1000."}));
    }
    let nth: usize = cursor.split(':').nth(1).and_then(|p| p.parse().ok()).unwrap_or(0);
    let total = all.len();
    let results: Vec<Json> = all.into_iter().skip(nth * per_page).take(per_page).collect();
    Answer::new(
        200,
        json!({"grouped_by": null, "sub_grouped_by": null, "total_count": total, "next_cursor": format!("{per_page}:{}:0", nth + 1),
               "prev_cursor": format!("{per_page}:-1:1"), "next_page_results": (nth + 1) * per_page < total,
               "prev_page_results": nth > 0, "count": results.len(), "total_pages": total.div_ceil(per_page.max(1)),
               "total_results": total, "extra_stats": null, "results": results}),
    )
}

fn in_project(board: &mut Board, method: &Method, path: &[&str], query: &Query<'_>, me: &str, body: &Json) -> Answer {
    match path {
        // True: the names of the fields. Left out: the other fields, and that an archived project shows no items.
        [] => Answer::new(
            200,
            json!({"id": PROJECT, "name": "Orchestration", "identifier": board.identifier,
                   "archived_at": board.archived.then_some("2026-05-20T10:30:00Z")}),
        ),
        // True: the envelope of pages, the fields. Simpler: one sequence and colour for all; there are no triage states to leave out.
        ["states"] => {
            let states = board.states.iter().map(|s| {
                json!({"id": s.id, "name": s.name, "color": "#60646C", "slug": s.name.to_lowercase(), "sequence": 15000.0, "group": s.group,
                       "is_triage": false, "default": s.name == "Backlog", "project": PROJECT})
            });
            page(query, states.collect())
        }
        // True: the envelope. Left out: colour, parent, order.
        ["labels"] => page(
            query,
            board
                .label_list
                .iter()
                .map(|l| json!({"id": l.id, "name": l.name, "project": PROJECT}))
                .collect(),
        ),
        // No envelope here, as in the source.
        ["members"] => Answer::new(
            200,
            board.users.iter().filter(|u| u.member).map(|u| board.user_json(&u.id)).collect(),
        ),
        // True: a path that a version does not know is no item that is missing, and says so otherwise.
        ["work-items", ..] if !board.work_items => Answer::new(404, json!({"error": "Page not found."})),
        ["issues", ..] if !board.issues => Answer::new(404, json!({"error": "Page not found."})),
        ["work-items" | "issues"] => {
            // Filters such as `state` are ignored without a word.
            let mut items: Vec<&Item> = board.items.iter().collect();
            items.sort_by(|a, b| b.updated_at.cmp(&a.updated_at));
            page(query, items.iter().map(|i| item(board, i, query)).collect())
        }
        ["work-items" | "issues", id, rest @ ..] => {
            // True: of what is deleted nothing can be asked. Simpler: nothing is archived, or waits in intake.
            if !board.items.iter().any(|i| i.id == *id) {
                return missing();
            }
            of_item(board, method, id, rest, query, me, body)
        }
        _ => missing(),
    }
}

fn of_item(board: &mut Board, method: &Method, id: &str, path: &[&str], query: &Query<'_>, me: &str, body: &Json) -> Answer {
    match (method.as_str(), path) {
        // True: `expand` and the fields. Left out: `fields`, which the service does not ask for.
        ("GET", []) => found(board, id, query),
        ("PATCH", []) => {
            // `state_id` is no field of this interface: 200, and nothing changed.
            if let Some(state) = body["state"].as_str() {
                let Some(name) = board.states.iter().find(|s| s.id == state).map(|s| s.name.clone()) else {
                    let words = format!("Invalid pk \"{state}\" - object does not exist.");
                    return Answer::new(400, json!({"state": [words]}));
                };
                board.set_state(me, id, &name, "state");
            }
            found(board, id, &Query(""))
        }
        // True: it is written later than the change, entries for labels that come and go, none for those that an issue was made
        // with. Simpler: the issue is touched once, with the change, and not again when the history is written; an entry that is
        // written late bears the time of the change.
        ("GET", ["activities"]) => {
            let mut of: Vec<_> = board
                .activities
                .iter()
                .filter(|a| a.issue == id && a.shown <= Instant::now())
                .collect();
            of.sort_by(|a, b| a.created_at.cmp(&b.created_at));
            if query.get("order_by").as_deref() == Some("-created_at") {
                of.reverse();
            }
            let json = of.iter().map(|a| {
                let field = (!a.field.is_empty()).then_some(a.field);
                json!({"id": a.id, "field": field, "verb": "updated", "new_value": a.new_value, "new_identifier": a.new_identifier,
                       "old_value": a.old_value, "old_identifier": a.old_identifier,
                       "actor": a.actor, "created_at": a.created_at, "epoch": epoch(&a.created_at), "issue": id})
            });
            page(query, json.collect())
        }
        // True: lists of ids by kind, and that older servers have no such path. Simpler: nobody but blockers is ever related.
        ("GET", ["relations"]) => match &board.relations {
            None => Answer::new(404, json!({"error": "Page not found."})),
            Some(all) => {
                let of = |mine: &dyn Fn(&(String, String)) -> Option<String>| all.iter().filter_map(mine).collect::<Vec<_>>();
                let blocked_by = of(&|(a, b)| (b == id).then(|| a.clone()));
                let blocking = of(&|(a, b)| (a == id).then(|| b.clone()));
                Answer::new(
                    200,
                    json!({"blocking": blocking, "blocked_by": blocked_by, "duplicate": [], "relates_to": [], "start_after": [],
                           "start_before": [], "finish_after": [], "finish_before": []}),
                )
            }
        },
        // True: the envelope, the fields. Simpler: always the newest first, whatever order is asked for.
        ("GET", ["comments"]) => {
            let of: Vec<usize> = (0..board.comments.len())
                .filter(|at| board.comments[*at].issue == id)
                .rev()
                .collect();
            page(query, of.into_iter().map(|at| board.comment_json(at)).collect())
        }
        // True: 201, and 409 with the id for an external id that is there. Simpler: it touches the issue in the same instant, and no
        // worker touches it a second time; what is sanitised is scripts.
        ("POST", ["comments"]) => {
            let text = |key: &str| body[key].as_str().map(str::to_owned);
            let external = text("external_source").zip(text("external_id"));
            let Some(html) = text("comment_html") else {
                return Answer::new(400, json!({"comment_html": ["This field is required."]}));
            };
            match board.comment(me, id, &html, external) {
                Ok(at) => Answer::new(201, board.comment_json(at)),
                Err(there) => Answer::new(
                    409,
                    json!({"error": "Work item comment with the same external id and external source already exists", "id": there}),
                ),
            }
        }
        _ => missing(),
    }
}

fn found(board: &Board, id: &str, query: &Query<'_>) -> Answer {
    match board.items.iter().find(|i| i.id == id) {
        Some(one) => Answer::new(200, item(board, one, query)),
        None => missing(),
    }
}

/// Whole seconds, as the history counts.
fn epoch(at: &str) -> f64 {
    let at: jiff::Timestamp = at.parse().expect("a time");
    i32::try_from(at.as_second()).map(f64::from).unwrap_or_default()
}

/// An item; what is expanded is what was asked for, and labels never are, as in the source.
fn item(board: &Board, item: &Item, query: &Query<'_>) -> Json {
    let expand = query.get("expand").unwrap_or_default();
    let state = if expand.contains("state") {
        board.state_json(&item.state)
    } else {
        json!(item.state)
    };
    json!({"id": item.id, "type_id": null, "created_at": item.created_at, "updated_at": item.updated_at, "deleted_at": null, "point": null,
           "name": item.name, "description_html": item.html, "description_binary": null, "priority": "none", "start_date": null,
           "target_date": null, "sequence_id": item.number, "sort_order": 75535.0, "completed_at": null, "archived_at": null,
           "is_draft": false, "external_source": null, "external_id": null, "created_by": item.created_by,
           "updated_by": item.updated_by, "project": PROJECT, "parent": null, "state": state, "estimate_point": null, "type": null,
           "assignees": [], "labels": item.labels})
}
