use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{Method, Request, StatusCode, header};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::*;
use crate::engine::model::{Name, Phase};
use crate::shell::door::tests::{World, at_deploy};

mod brakes;
mod hooks;

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

struct Site {
    world: World,
    app: Router,
    stop: CancellationToken,
}

impl Site {
    async fn new(more: &str, token: bool) -> Self {
        let world = World::new(more).await;
        let stop = CancellationToken::new();
        let token = token.then(|| Token::new(TOKEN).unwrap());
        let app = router(Web::new(Arc::clone(&world.service), token, stop.clone()));
        Self { world, app, stop }
    }

    async fn send(&self, request: Request<Body>, peer: Peer) -> (StatusCode, Value) {
        let mut request = request;
        request.extensions_mut().insert(ConnectInfo(peer));
        let answer = self.app.clone().oneshot(request).await.unwrap();
        assert_eq!(answer.headers()[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
        assert!(!answer.headers().contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN));
        let status = answer.status();
        let bytes = axum::body::to_bytes(answer.into_body(), usize::MAX).await.unwrap();
        (
            status,
            serde_json::from_slice(&bytes).unwrap_or_else(|_| panic!("no JSON: {}", String::from_utf8_lossy(&bytes))),
        )
    }

    async fn get(&self, path: &str) -> (StatusCode, Value) {
        self.send(request(Method::GET, path, None), mine()).await
    }

    async fn post(&self, path: &str, body: Value) -> (StatusCode, Value) {
        self.send(request(Method::POST, path, Some(&body)), mine()).await
    }
}

/// This process's own user, through the socket.
fn mine() -> Peer {
    Peer::Socket {
        uid: Some(nix::unistd::geteuid().as_raw()),
        pid: i32::try_from(std::process::id()).ok(),
    }
}

fn loopback() -> Peer {
    Peer::Tcp(([127, 0, 0, 1], 40_000).into())
}

fn far() -> Peer {
    Peer::Tcp(([192, 0, 2, 7], 40_000).into())
}

fn request(method: Method, path: &str, body: Option<&Value>) -> Request<Body> {
    let builder = Request::builder().method(method).uri(path).header(header::HOST, "localhost:8500");
    match body {
        Some(body) => builder
            .header(header::CONTENT_TYPE, "application/json")
            .body(Body::from(body.to_string()))
            .unwrap(),
        None => builder.body(Body::empty()).unwrap(),
    }
}

fn with(mut request: Request<Body>, name: header::HeaderName, value: &str) -> Request<Body> {
    request.headers_mut().insert(name, value.parse().unwrap());
    request
}

#[tokio::test]
async fn reading_is_open_on_loopback_and_takes_the_token_from_afar() {
    let site = Site::new("", true).await;
    assert_eq!(site.send(request(Method::GET, "/status", None), loopback()).await.0, StatusCode::OK);
    let (status, body) = site.send(request(Method::GET, "/status", None), far()).await;
    assert_eq!((status, &body["code"]), (StatusCode::UNAUTHORIZED, &json!("unauthorized")));
    let right = with(
        request(Method::GET, "/status", None),
        header::AUTHORIZATION,
        &format!("Bearer {TOKEN}"),
    );
    assert_eq!(site.send(right, far()).await.0, StatusCode::OK);
    let wrong = with(
        request(Method::GET, "/status", None),
        header::AUTHORIZATION,
        "Bearer 0123456789abcdef",
    );
    assert_eq!(
        site.send(wrong, loopback()).await.0,
        StatusCode::UNAUTHORIZED,
        "a wrong token is never overlooked"
    );
}

#[tokio::test]
async fn acting_over_tcp_takes_the_token() {
    let site = Site::new("", true).await;
    let new = || request(Method::POST, "/api/tasks", Some(&json!({ "title": "x", "text": "y" })));
    assert_eq!(site.send(new(), loopback()).await.0, StatusCode::UNAUTHORIZED);
    let (status, body) = site
        .send(with(new(), header::AUTHORIZATION, &format!("Bearer {TOKEN}")), loopback())
        .await;
    assert_eq!((status, &body["item"]), (StatusCode::CREATED, &json!("SHOP-001")));
    let closed = Site::new("", false).await;
    let (status, body) = closed
        .send(with(new(), header::AUTHORIZATION, &format!("Bearer {TOKEN}")), loopback())
        .await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    assert!(body["help"].as_str().unwrap().contains("[api] token"), "{body}");
}

#[tokio::test]
async fn other_names_are_not_answered_to() {
    let site = Site::new("[api]\nhosts = [\"box.example\"]", true).await;
    for (host, expected) in [
        ("localhost", StatusCode::OK),
        ("127.0.0.1:8500", StatusCode::OK),
        ("[::1]:8500", StatusCode::OK),
        ("Box.Example.:80", StatusCode::OK),
        ("evil.example", StatusCode::MISDIRECTED_REQUEST),
        ("localhost.evil.example", StatusCode::MISDIRECTED_REQUEST),
        ("", StatusCode::MISDIRECTED_REQUEST),
    ] {
        let asked = with(request(Method::GET, "/health", None), header::HOST, host);
        assert_eq!(site.send(asked, loopback()).await.0, expected, "{host:?}");
    }
    let mut nameless = request(Method::GET, "/health", None);
    nameless.headers_mut().remove(header::HOST);
    assert_eq!(site.send(nameless, loopback()).await.0, StatusCode::MISDIRECTED_REQUEST);
}

#[tokio::test]
async fn only_json_of_a_sane_size_is_taken_in() {
    let site = Site::new("", false).await;
    let plain = with(
        request(Method::POST, "/api/tasks", Some(&json!({ "title": "x" }))),
        header::CONTENT_TYPE,
        "text/plain",
    );
    assert_eq!(site.send(plain, mine()).await.0, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    let long = json!({ "title": "x", "text": "y".repeat(router::MAX_BODY) });
    assert_eq!(site.post("/api/tasks", long).await.0, StatusCode::PAYLOAD_TOO_LARGE);
    for body in [json!({}), json!([]), json!({ "title": 5 }), json!({ "title": "x", "titel": "y" })] {
        assert_eq!(site.post("/api/tasks", body.clone()).await.0, StatusCode::BAD_REQUEST, "{body}");
    }
    let broken = Request::builder()
        .method("POST")
        .uri("/api/tasks")
        .header("content-type", "application/json")
        .body(Body::from("{"))
        .unwrap();
    assert_eq!(site.send(broken, mine()).await.0, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn what_there_is_not_is_404_with_what_is_near() {
    let site = Site::new("", false).await;
    site.world.task(|_| {}).await;
    let (status, body) = site.get("/api/tasks/SHOP-002").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert!(body["help"].as_str().unwrap().contains("SHOP-001"), "{body}");
    for path in [
        "/nowhere",
        "/api/runs/7",
        "/api/runs/7/log",
        "/api/tasks/%00",
        "/api/tasks/a%2Fb/why",
    ] {
        assert_eq!(site.get(path).await.0, StatusCode::NOT_FOUND, "{path}");
    }
    assert_eq!(site.get("/api/runs/seven").await.0, StatusCode::BAD_REQUEST);
    assert_eq!(site.get("/api/timeline?after=x").await.0, StatusCode::BAD_REQUEST);
    assert_eq!(site.post("/status", json!({})).await.0, StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn acts_are_refused_with_the_reason() {
    let site = Site::new("", false).await;
    let task = site.world.task(|_| {}).await;
    let (status, body) = site.post(&format!("/api/tasks/{}/approve", task.item), json!({})).await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert_eq!(
        body["error"],
        "SHOP-001 stands at development, agents are at work; nothing to approve"
    );
    let (status, _) = site.post("/api/tasks/%231/reject", json!({ "text": "" })).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    let (status, body) = site.post("/api/tasks/shop%231/stop", json!({})).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    assert!(body["seq"].as_i64().is_some());
}

#[tokio::test]
async fn two_approvals_are_one_decision() {
    let site = Site::new("", false).await;
    site.world.task(at_deploy).await;
    let path = "/api/tasks/SHOP-001/approve";
    let (one, two) = tokio::join!(site.post(path, json!({})), site.post(path, json!({})));
    let mut statuses = [one.0, two.0];
    statuses.sort();
    assert_eq!(statuses, [StatusCode::OK, StatusCode::CONFLICT]);
}

#[tokio::test]
async fn with_lists_of_people_only_they_may() {
    let site = Site::new("[people]\napprover = [\"alice\"]\noperator = [\"api\"]", true).await;
    site.world.task(at_deploy).await;
    let by_token = |path: &str| {
        with(
            request(Method::POST, path, Some(&json!({}))),
            header::AUTHORIZATION,
            &format!("Bearer {TOKEN}"),
        )
    };
    let (status, body) = site.send(by_token("/api/tasks/SHOP-001/approve"), loopback()).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    assert!(body["error"].as_str().unwrap().contains("approver"), "{body}");
    assert_eq!(
        site.post("/api/tasks/SHOP-001/stop", json!({})).await.0,
        StatusCode::FORBIDDEN,
        "the socket's user is not listed"
    );
    assert_eq!(site.send(by_token("/api/tasks/SHOP-001/stop"), loopback()).await.0, StatusCode::OK);
}

#[tokio::test]
async fn views_tell_where_tasks_stand() {
    let site = Site::new("", false).await;
    site.world.task(at_deploy).await;
    let (_, status) = site.get("/status").await;
    assert_eq!(status["attention"], 1);
    assert_eq!(status["tasks"][0]["blocker"]["code"], "APPROVAL_WAIT");
    let (_, show) = site.get("/api/tasks/SHOP-001").await;
    let approve = show["acts"].as_array().unwrap().iter().find(|a| a["act"] == "approve").unwrap();
    assert_eq!((&show["issue"], &approve["possible"]), (&json!("shop#1"), &json!(true)));
    let (_, why) = site.get("/api/tasks/SHOP-001/why").await;
    assert_eq!(why["blockers"][0]["who"], "approver");
    assert!(
        why["blockers"][0]["clear"].as_str().unwrap().starts_with("signalbox approve"),
        "{why}"
    );
    let (_, history) = site.get("/api/tasks/SHOP-001/history").await;
    assert_eq!(history["rows"][0]["what"], "signal start");
    assert_eq!(history["rows"][0]["because"][0], "the test says so");
    let (_, timeline) = site.get("/api/timeline").await;
    assert_eq!(timeline["rows"].as_array().unwrap().len(), 1);
    assert_eq!(timeline["next"], timeline["rows"][0]["place"]);
}

#[tokio::test]
async fn the_queue_counts_every_state() {
    let site = Site::new("", false).await;
    let task = site.world.task(|t| {
        t.control.phase = Phase::Cancelled;
        t.control.stage = Name::new("cancelled");
        t.ledger.ended_at = Some(t.ledger.visit.entered_at);
    });
    task.await;
    let (_, queue) = site.get("/queue").await;
    let zeros = json!({ "scheduled": 0, "queued": 0, "running": 0, "done": 0, "failed": 0, "cancelled": 0 });
    assert_eq!(queue["counts"], zeros);
    assert_eq!((&queue["max_concurrency"], &queue["poll_interval"]), (&json!(1), &json!(30)));
    let stop = json!({ "enabled": true, "repos": ["shop"], "cancelled_count": 1, "deferred_pending": 0, "deferred": [], "stopping": [], "recent": ["SHOP-001~1"] });
    assert_eq!(queue["stop"], stop);
    assert_eq!(queue["serial_gate"]["shop"]["enabled"], true);
    assert_eq!(queue["auto_labels"]["shop"][0]["label"], "auto:approve");
    assert_eq!(queue["waiting"], json!([]));
    for later in ["reconcile", "post_deploy", "maintenance"] {
        assert_eq!(
            queue[later]["enabled"], false,
            "{later} is there, and says that it does nothing yet"
        );
    }
    let (free, total) = (queue["disk"]["free_bytes"].as_u64(), queue["disk"]["total_bytes"].as_u64());
    assert!(free > Some(0) && free <= total, "{}", queue["disk"]);
}

#[tokio::test]
async fn a_block_that_fails_does_not_break_the_answer() {
    let site = Site::new("", false).await;
    site.world.service.store.clone().close().await;
    let (status, queue) = site.get("/queue").await;
    assert_eq!(status, StatusCode::OK);
    assert!(
        queue["counts"]["error"].is_string() && queue["recent"]["error"].is_string(),
        "{queue}"
    );
    assert_eq!(queue["max_concurrency"], 1);
    assert_eq!(site.get("/status").await.0, StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn a_long_poll_wakes_by_a_commit_and_by_the_end() {
    let site = Arc::new(Site::new("", false).await);
    let poll = {
        let site = Arc::clone(&site);
        tokio::spawn(async move { site.get("/api/timeline?after=0&wait=25").await })
    };
    site.world.task(|_| {}).await;
    let (_, woken) = tokio::time::timeout(Duration::from_secs(20), poll).await.unwrap().unwrap();
    assert_eq!(woken["rows"][0]["what"], "signal start");
    let place = woken["next"].as_i64().unwrap();
    let idle = {
        let site = Arc::clone(&site);
        tokio::spawn(async move { site.get(&format!("/api/timeline?after={place}&wait=25")).await })
    };
    site.stop.cancel();
    let (_, ended) = tokio::time::timeout(Duration::from_secs(20), idle).await.unwrap().unwrap();
    assert_eq!((&ended["rows"], &ended["next"]), (&json!([]), &json!(place)));
}

#[tokio::test]
async fn the_description_names_every_path() {
    let site = Site::new("", false).await;
    let (_, api) = site.get("/api/openapi.json").await;
    for path in [
        "/health",
        "/status",
        "/queue",
        "/api/tasks",
        "/api/tasks/{item}/approve",
        "/api/runs/{id}/log",
        "/api/timeline",
    ] {
        assert!(api["paths"][path].is_object(), "{path}");
    }
    assert!(api["components"]["schemas"]["ShowView"]["properties"]["timeline"].is_object());
}

#[tokio::test]
async fn it_serves_on_the_socket_and_ends_when_told() {
    let world = World::with("listen = \"127.0.0.1:0\"", "", "").await;
    let socket = world.service.data.join("signalbox.sock");
    let stop = CancellationToken::new();
    let serving = tokio::spawn(bind(&world.service).await.unwrap().serve(Arc::clone(&world.service), stop.clone()));
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().unix_socket(socket.clone()).build().unwrap();
    assert!(matches!(bind(&world.service).await, Err(ServeError::SocketInUse { .. })));
    let health: Value = client.get("http://localhost/health").send().await.unwrap().json().await.unwrap();
    assert_eq!(health["status"], "ok");
    let made = client
        .post("http://localhost/api/tasks")
        .json(&json!({ "title": "x", "text": "y" }))
        .send()
        .await
        .unwrap();
    assert_eq!(made.status().as_u16(), 201, "the peer's uid is this process's own");
    stop.cancel();
    tokio::time::timeout(Duration::from_secs(60), serving)
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    assert!(!socket.exists());
}

#[tokio::test]
async fn a_delivery_that_nobody_signed_changes_nothing() {
    let site = Site::new("", true).await;
    for path in ["/webhook/plane", "/webhook/gitea"] {
        let request = request(Method::POST, path, Some(&json!({"event": "issue"})));
        let request = with(request, header::HeaderName::from_static("x-plane-signature"), &"0".repeat(64));
        let (status, body) = site.send(request, far()).await;
        assert_eq!(
            (status, &body["code"]),
            (StatusCode::UNAUTHORIZED, &json!("unauthorized")),
            "{path}"
        );
    }
    assert!(site.world.service.store.deliveries_last(1).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_delivery_larger_than_the_limit_is_refused() {
    let site = Site::new("", true).await;
    let body = Value::String("x".repeat(5 * 1024 * 1024));
    let (status, body) = site.send(request(Method::POST, "/webhook/gitea", Some(&body)), far()).await;
    assert_eq!((status, &body["code"]), (StatusCode::PAYLOAD_TOO_LARGE, &json!("too_large")));
}
