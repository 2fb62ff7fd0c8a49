use super::*;
use axum::http::StatusCode as Status;
use axum::{Router, routing::any};

const TOKEN: &str = "123456789:AAE-secret_canary";

fn bot(url: &str) -> Telegram {
    Telegram::new(url, Secret::new(TOKEN)).unwrap()
}

fn refusal(status: u16, text: &str) -> Refusal {
    let answer = serde_json::from_str(text).unwrap_or_default();
    bot("http://localhost").refusal(StatusCode::from_u16(status).unwrap(), &answer, None)
}

/// A server that answers everything so; its address.
async fn server(status: Status, body: &'static str) -> String {
    let app = Router::new().fallback(any(move || async move { (status, body) }));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    format!("http://{address}")
}

#[test]
fn what_the_interface_answers_means_this() {
    assert_eq!(
        refusal(
            429,
            r#"{"ok":false,"error_code":429,"description":"Too Many Requests: retry after 14","parameters":{"retry_after":14}}"#
        ),
        Refusal::Slow(Duration::from_secs(14))
    );
    assert_eq!(refusal(429, "<html>"), Refusal::Slow(SOME_TIME));
    assert_eq!(
        refusal(429, r#"{"parameters":{"retry_after":99999999999}}"#),
        Refusal::Slow(LONGEST)
    );
    assert_eq!(
        refusal(
            400,
            r#"{"ok":false,"error_code":400,"description":"Bad Request: group chat was upgraded to a supergroup chat","parameters":{"migrate_to_chat_id":-1001234567890}}"#
        ),
        Refusal::Moved(-1_001_234_567_890)
    );
    let of = |status, words: &str| refusal(status, &json!({"ok": false, "description": words}).to_string());
    assert!(matches!(
        of(400, "Bad Request: can't parse entities: Unsupported start tag"),
        Refusal::Markup(_)
    ));
    assert!(matches!(of(400, "Bad Request: message to edit not found"), Refusal::Gone(_)));
    assert!(matches!(of(400, "Bad Request: MESSAGE_ID_INVALID"), Refusal::Gone(_)));
    assert!(matches!(of(400, "Bad Request: chat not found"), Refusal::Barred(_)));
    assert!(matches!(of(400, "Bad Request: message is too long"), Refusal::Bad(_)));
    assert!(matches!(of(401, "Unauthorized"), Refusal::Barred(why) if why.contains("token")));
    assert!(matches!(of(404, "Not Found"), Refusal::Barred(_)));
    assert!(matches!(of(403, "Forbidden: bot was blocked by the user"), Refusal::Barred(_)));
    assert!(matches!(of(502, "Bad Gateway"), Refusal::Down(_)));
    assert!(matches!(of(409, "Conflict"), Refusal::Down(_)));
    assert_eq!(refusal(503, ""), Refusal::Down("it answers 503 Service Unavailable".to_owned()));
}

#[tokio::test]
async fn a_message_that_says_it_already_is_edited() {
    let same = r#"{"ok":false,"error_code":400,"description":"Bad Request: message is not modified: specified new message content and reply markup are exactly the same as a current content and reply markup of the message"}"#;
    let bot = bot(&server(Status::BAD_REQUEST, same).await);
    assert_eq!(bot.edit("-5", 7, &Html::of_text("x"), true).await, Ok(()));
    assert!(matches!(bot.send("-5", &Html::of_text("x"), true).await, Err(Refusal::Bad(_))));
}

#[tokio::test]
async fn the_id_of_a_message_is_read() {
    let ok = r#"{"ok":true,"result":{"message_id":4711,"chat":{"id":-1001234567890,"type":"supergroup"},"date":1779271200,"text":"x"}}"#;
    let bot = bot(&server(Status::OK, ok).await);
    assert_eq!(bot.send("-1001234567890", &Html::of_text("x"), true).await, Ok(4711));
}

/// The token is in no error, whoever tells it: the library, the server, a redirect, a broken answer.
#[tokio::test]
async fn the_token_is_in_no_error() {
    let echo = "{\"ok\":false,\"description\":\"no method /bot123456789:AAE-secret_canary/sendMessage\"}";
    let moved = Router::new().fallback(any(|| async {
        (
            Status::FOUND,
            [("location", "http://127.0.0.1:1/bot123456789:AAE-secret_canary/x")],
            "",
        )
    }));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let redirecting = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, moved).await });
    let addresses = [
        "http://127.0.0.1:1".to_owned(),
        "http://no.such.host.invalid".to_owned(),
        "https://127.0.0.1:1".to_owned(),
        server(Status::NOT_FOUND, echo).await,
        server(Status::BAD_REQUEST, echo).await,
        server(Status::OK, "<html>").await,
        redirecting,
    ];
    for address in addresses {
        let refused = bot(&address).send("-5", &Html::of_text("x"), true).await.unwrap_err();
        let told = format!("{refused} {refused:?}");
        assert!(!told.contains("canary") && !told.contains("123456789:"), "{address}: {told}");
        assert!(refused.to_string().len() > 5, "{address}: {told}");
    }
}

#[test]
fn rooms_are_numbers_or_names() {
    let text = Html::of_text("<b>");
    assert_eq!(body("-1001234567890", &text, true)["chat_id"], json!(-1_001_234_567_890_i64));
    assert_eq!(body("@here", &text, true)["chat_id"], json!("@here"));
    assert_eq!(body("1", &text, true)["text"], "&lt;b&gt;");
    let plain = body("1", &text, false);
    assert_eq!((&plain["text"], plain.get("parse_mode")), (&json!("<b>"), None));
}

fn fixture(name: &str) -> String {
    let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/telegram");
    std::fs::read_to_string(dir.join(name)).unwrap()
}

/// Every recorded error, through a real request.
#[tokio::test]
async fn recorded_errors_mean_what_they_say() {
    let all: Json = serde_json::from_str(&fixture("telegram_errors.json")).unwrap();
    for (name, answer) in all.as_object().unwrap() {
        let status = Status::from_u16(u16::try_from(answer["error_code"].as_u64().unwrap()).unwrap()).unwrap();
        let bot = bot(&server(status, Box::leak(answer.to_string().into_boxed_str())).await);
        let sent = bot.send("-5", &Html::of_text("x"), true).await.unwrap_err();
        let right = match name.as_str() {
            "429" => sent == Refusal::Slow(Duration::from_secs(14)),
            "400_parse" => matches!(sent, Refusal::Markup(_)),
            "400_migrated" => sent == Refusal::Moved(-1_001_234_567_890),
            "403_blocked" | "401" => matches!(sent, Refusal::Barred(_)),
            "400_not_modified" | "400_too_long" => matches!(sent, Refusal::Bad(_)),
            "409_getupdates" => matches!(sent, Refusal::Down(_)),
            other => panic!("{other} is new"),
        };
        assert!(right, "{name}: {sent:?}");
        assert!(!format!("{sent:?}").contains(TOKEN), "{name}");
        let edited = bot.edit("-5", 7, &Html::of_text("x"), true).await;
        assert_eq!(edited.is_ok(), name == "400_not_modified", "{name}: {edited:?}");
    }
}

#[tokio::test]
async fn a_recorded_answer_gives_the_messages_number() {
    let body = Box::leak(fixture("telegram_send_ok.json").into_boxed_str());
    let bot = bot(&server(Status::OK, body).await);
    assert_eq!(
        bot.send("-1001234567890", &Html::of_text("ORCH-90: PR opened"), true).await,
        Ok(4711)
    );
}
