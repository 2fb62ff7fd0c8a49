//! Webhooks of two projects whose boards are in one workspace: one secret signs for both.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::*;
use crate::engine::model::Millis;
use crate::shell::clock;
use crate::shell::view;

const BOARDS: [(&str, &str); 2] = [
    ("orch", "59e3be42-0000-4000-8000-000000000001"),
    ("et", "59e3be42-0000-4000-8000-000000000002"),
];

/// Two projects on boards of a server that nobody asks. What signs is a variable that every process has.
fn boards() -> String {
    let one = |(name, board): (&str, &str)| {
        format!(
            "[projects.{name}]\npipeline = \"local\"\nprefix = \"{}\"\ntracker = {{ kind = \"plane\", url = \"http://127.0.0.1:9\", \
             workspace = \"acme\", project = \"{board}\", token = {{ env = \"PATH\" }}, secret = {{ env = \"PATH\" }} }}\n\
             forge = {{ kind = \"gitea\", url = \"http://127.0.0.1:9\", owner = \"acme\", repo = \"{name}\", default_branch = \"main\", \
             token = {{ env = \"PATH\" }}, secret = {{ env = \"PATH\" }} }}\n\
             [projects.{name}.set]\n\"agents.*.run\" = [\"true\"]\n",
            name.to_uppercase()
        )
    };
    BOARDS.map(one).concat()
}

impl Site {
    /// Posts a delivery as Plane does; with `signed` as one whose secret is right.
    async fn told(&self, body: &Value, signed: bool) -> StatusCode {
        let body = body.to_string();
        let secret = std::env::var("PATH").unwrap();
        let secret = if signed { secret.trim() } else { "another" };
        let mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap().chain_update(&body);
        let request = Request::builder()
            .method(Method::POST)
            .uri("/webhook/plane")
            .header(header::HOST, "localhost:8500")
            .header("x-plane-event", "issue")
            .header("x-plane-signature", hex::encode(mac.finalize().into_bytes()))
            .body(Body::from(body))
            .unwrap();
        self.send(request, mine()).await.0
    }
}

fn about(board: Option<&str>) -> Value {
    json!({"event": "issue", "action": "updated", "data": {"id": "i1", "project": board}, "activity": {"field": "priority"}})
}

/// A delivery that names its project waits for that one alone: for no other one's tasks, and `status` names it.
#[tokio::test]
async fn a_delivery_speaks_for_the_project_that_it_names() {
    let site = Site::new(&boards(), false).await;
    let store = &site.world.service.store;
    let held = async |project: &str| store.deliveries_held_about(&Name::new(project), "i1").await.unwrap().len();
    for (body, of) in [
        (about(Some(BOARDS[1].1)), [0, 1]),
        (about(None), [1, 2]),
        (about(Some("another")), [1, 2]),
    ] {
        assert_eq!(site.told(&body, true).await, StatusCode::OK);
        for due in store.deliveries_due(clock::now(), 9).await.unwrap() {
            store.delivery_held(due.id, "the server is away", Millis(i64::MAX)).await.unwrap();
        }
        assert_eq!([held("orch").await, held("et").await], of, "{body}");
    }
    let heard = async |project: &str| store.board(&Name::new(project)).await.unwrap().unwrap().heard;
    assert!(heard("et").await.is_some());
    let said = view::status(&site.world.service).await.unwrap().problems;
    let said: Vec<&str> = said.iter().map(|p| p.text.as_str()).collect();
    assert!(
        said.iter().any(|s| s.starts_with("1 delivery of plane for project et waits")),
        "{said:#?}"
    );
    assert!(
        said.iter()
            .any(|s| s.starts_with("1 delivery of plane for projects et, orch waits")),
        "{said:#?}"
    );
}
