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
