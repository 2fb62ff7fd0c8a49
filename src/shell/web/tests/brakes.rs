//! B-SG, as people and scripts see it: freezing, dependencies, and their blocks in `/queue`.

use super::*;

#[tokio::test]
async fn b_sg_2_unfreeze_answers_so_and_again() {
    let site = Site::new("", false).await;
    let (status, answer) = site
        .post(
            "/serial-gate/freeze",
            json!({ "repo": "shop", "level": "all", "reason": "the disk is full" }),
        )
        .await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(
        answer,
        json!({ "ok": true, "repo": "shop", "cleared": false, "frozen": "the disk is full" })
    );
    let thawed = json!({ "ok": true, "repo": "shop", "cleared": true, "frozen": null });
    let (status, answer) = site
        .send(request(Method::POST, "/serial-gate/unfreeze?repo=shop", None), mine())
        .await;
    assert_eq!((status, answer), (StatusCode::OK, thawed));
    let still = json!({ "ok": true, "repo": "shop", "cleared": false, "frozen": null });
    let body = json!({ "repo": "shop", "reason": "again" });
    assert_eq!(site.post("/serial-gate/unfreeze", body).await, (StatusCode::OK, still));
    assert_eq!(
        site.post("/serial-gate/unfreeze", json!({ "repo": "nowhere" })).await.0,
        StatusCode::NOT_FOUND
    );
    let (_, queue) = site.get("/queue").await;
    let gate = &queue["serial_gate"]["shop"];
    assert_eq!((&gate["frozen"], &gate["frozen_since"]), (&Value::Null, &Value::Null));
    assert_eq!(gate["guards"], json!(["development"]));
    let told: Vec<_> = gate["history"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| (&row["what"], &row["level"], &row["reason"]))
        .collect();
    assert_eq!(
        told,
        [
            (&json!("lifted"), &json!("all"), &json!("none given")),
            (&json!("set"), &json!("all"), &json!("the disk is full")),
        ]
    );
}

#[tokio::test]
async fn b_sg_3_dependencies_are_declared_shown_and_taken_away() {
    let site = Site::new("", false).await;
    let first = site.world.task(|_| {}).await;
    let (_, made) = site.post("/api/tasks", json!({ "title": "Say goodbye", "start": false })).await;
    assert_eq!(made["item"], "SHOP-002");
    let depend = format!("/api/tasks/{}/depend", first.item);
    let (status, answer) = site.post(&depend, json!({ "on": "shop#2" })).await;
    assert_eq!(
        (status, &answer["message"]),
        (StatusCode::OK, &json!("waits until SHOP-002 is over"))
    );
    let (_, answer) = site.post(&depend, json!({ "on": "shop-002" })).await;
    assert_eq!(answer["message"], "waits for SHOP-002 already");
    let (_, queue) = site.get("/queue").await;
    let deps = &queue["task_deps"];
    assert_eq!(
        (&deps["enabled"], &deps["repos"], &deps["blocked"]),
        (&json!(true), &json!(["shop"]), &json!(1))
    );
    let open = &deps["open"][0];
    assert_eq!(
        (&open["item"], &open["on"], &open["state"], &open["source"]),
        (&json!("SHOP-001"), &json!("SHOP-002"), &json!("not started"), &json!("command"))
    );
    let (status, refused) = site.post(&depend, json!({ "on": "SHOP-001" })).await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert!(refused.to_string().contains("SHOP-001 → SHOP-001"), "{refused}");
    let (status, _) = site.post("/api/tasks/SHOP-002/depend", json!({ "on": "SHOP-001" })).await;
    assert_eq!(status, StatusCode::CONFLICT, "an issue without a task has nothing that could wait");
    assert_eq!(site.post(&depend, json!({ "on": "SHOP-404" })).await.0, StatusCode::NOT_FOUND);
    let (_, answer) = site.post(&depend, json!({ "on": "SHOP-002", "remove": true })).await;
    assert_eq!(answer["message"], "does not wait for SHOP-002 any more");
    let (_, answer) = site.post(&depend, json!({ "on": "SHOP-002", "remove": true })).await;
    assert_eq!(answer["message"], "did not wait for SHOP-002");
    assert_eq!(site.get("/queue").await.1["task_deps"]["open"], json!([]));
}

#[tokio::test]
async fn b_stop_6_a_stop_that_waits_is_in_the_queue_with_since_and_until() {
    let site = Site::new("", false).await;
    let asked = crate::engine::model::Millis(1_700_000_000_000);
    let until = asked.plus(crate::engine::model::Millis::secs(300));
    let task = site.world.task(|t| {
        t.control.stop = crate::engine::model::StopState::Deferred;
        t.control.at = crate::engine::model::At::Action { index: 0, running: true };
        t.ledger.stop = Some(("alice".to_owned(), asked, Some(until)));
    });
    let task = task.await;
    let (_, queue) = site.get("/queue").await;
    let stop = &queue["stop"];
    assert_eq!(
        (&stop["deferred_pending"], &stop["deferred"][0]["who"]),
        (&json!(1), &json!("alice"))
    );
    let (since, until) = (&stop["deferred"][0]["since"], &stop["deferred"][0]["until"]);
    assert!(since.is_string() && until.is_string() && since != until, "{stop}");
    let (_, why) = site.get(&format!("/api/tasks/{}/why", task.item)).await;
    let blocker = &why["blockers"][0];
    assert_eq!((&blocker["code"], &blocker["since"]), (&json!("STOP_DEFERRED"), since));
    assert!(blocker["text"].as_str().unwrap_or_default().contains("300 s"), "{why}");
}

#[tokio::test]
async fn b_sg_2_the_queue_tells_guards_scope_and_failures() {
    let site = Site::new("", false).await;
    let (_, queue) = site.get("/queue").await;
    let gate = &queue["serial_gate"]["shop"];
    assert_eq!((&gate["scope"], &gate["failures"]), (&json!("repository"), &json!(0)));
}

#[tokio::test]
async fn a_thaw_with_broken_json_is_answered_in_the_shape_of_all_errors() {
    let site = Site::new("", false).await;
    let mut broken = request(Method::POST, "/serial-gate/unfreeze", None);
    *broken.body_mut() = axum::body::Body::from("{\"repo\": ");
    broken.headers_mut().insert("content-type", "application/json".parse().unwrap());
    let (status, answer) = site.send(broken, mine()).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(answer["error"].is_object() || answer["error"].is_string(), "{answer}");
}
