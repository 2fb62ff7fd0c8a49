//! Every way in which a server can fail to answer, over a real connection.

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;
use crate::shell::tracker::plane::Budgets;

const KEY: &str = "plane_api_under_test";

/// A server that gives one answer, byte for byte; what it was asked comes back.
async fn answering(raw: String) -> (String, tokio::task::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let asked = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut asked = vec![0; 8192];
        let read = stream.read(&mut asked).await.unwrap();
        stream.write_all(raw.as_bytes()).await.unwrap();
        let _ = stream.shutdown().await;
        String::from_utf8_lossy(&asked[..read]).into_owned()
    });
    (url, asked)
}

fn raw(status: &str, headers: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n{headers}\r\n{body}",
        body.len()
    )
}

fn client(url: &str) -> Client {
    let key = Secret::new(KEY);
    let budget = Budgets::default().of(url, &key);
    Client::new(connections(url).unwrap(), url, key, budget)
}

async fn ask(raw: String) -> Result<Json, PlaneError> {
    let (url, _asked) = answering(raw).await;
    client(&url).call(Ask::get(Haste::PERSON, "users/me/", &[])).await
}

#[tokio::test]
async fn a_request_carries_the_key_and_ends_in_a_slash() {
    let (url, asked) = answering(raw("200 OK", "", "{\"id\":\"me\"}")).await;
    let got: Json = client(&url)
        .call(Ask::get(Haste::PERSON, "users/me/", &[("per_page", "100")]))
        .await
        .unwrap();
    assert_eq!(got["id"], "me");
    let asked = asked.await.unwrap().to_lowercase();
    assert!(asked.starts_with("get /api/v1/users/me/?per_page=100 http/1.1"), "{asked}");
    assert!(asked.contains(&format!("x-api-key: {KEY}")), "{asked}");
}

#[tokio::test]
async fn each_refusal_is_known_for_what_it_is() {
    let errors: Json = serde_json::from_str(include_str!("../../../../tests/fixtures/plane/plane_rest_errors.json")).unwrap();
    let answer = |status: &str, which: &str| ask(raw(status, "", &errors[which].to_string()));
    let got = answer("401 Unauthorized", "401_missing_key").await.unwrap_err();
    assert!(matches!(got, PlaneError::Key(_)), "{got}");
    let got = answer("403 Forbidden", "403_bad_or_expired_key").await.unwrap_err();
    assert!(matches!(got, PlaneError::Key(_)), "{got}");
    let got = answer("403 Forbidden", "403_permission").await.unwrap_err();
    assert!(matches!(got, PlaneError::Forbidden(_)), "{got}");
    assert_eq!(answer("404 Not Found", "404_not_found").await.unwrap_err(), PlaneError::NotFound);
    assert_eq!(answer("409 Conflict", "409_external_id").await.unwrap_err(), PlaneError::Exists);
    for which in ["400_field_errors", "400_bad_state", "400_unknown_state_pk", "400_per_page"] {
        let got = answer("400 Bad Request", which).await.unwrap_err();
        assert!(matches!(got, PlaneError::Refused { status: 400, .. }), "{which}: {got}");
    }
    assert_eq!(answer("500 Oops", "500").await.unwrap_err(), PlaneError::Server { status: 500 });
}

#[tokio::test]
async fn a_full_minute_closes_the_key_for_as_long_as_it_says() {
    let body = "{\"error_code\":5900,\"error_message\":\"RATE_LIMIT_EXCEEDED\"}";
    let (url, _asked) = answering(raw("429 Too Many Requests", "Retry-After: 37\r\n", body)).await;
    let client = client(&url);
    let after = Duration::from_secs(37);
    let got: Result<Json, _> = client.call(Ask::get(Haste::PERSON, "users/me/", &[])).await;
    assert_eq!(got.unwrap_err(), PlaneError::Limited { after });
    // The second one is not even sent: nobody listens any more.
    let got: Result<Json, _> = client.call(Ask::get(Haste::PERSON, "users/me/", &[])).await;
    assert!(matches!(got, Err(PlaneError::Limited { .. })), "{got:?}");
}

#[tokio::test]
async fn what_is_no_answer_of_planes_is_none() {
    let page = "<!DOCTYPE html><html>Sign in</html>";
    assert_eq!(ask(raw("200 OK", "", page)).await.unwrap_err(), PlaneError::NotJson { status: 200 });
    assert_eq!(
        ask(raw("404 Not Found", "", page)).await.unwrap_err(),
        PlaneError::NotJson { status: 404 }
    );
    for body in ["", "{\"id\":", "\u{0}"] {
        let got = ask(raw("200 OK", "", body)).await.unwrap_err();
        assert!(matches!(got, PlaneError::Malformed { .. }), "{body:?}: {got}");
    }
    let got = ask(raw(
        "301 Moved Permanently",
        "Location: https://plane.example/api/v1/users/me/\r\n",
        "",
    ))
    .await;
    assert!(
        matches!(got, Err(PlaneError::Redirect { ref to }) if to.contains("plane.example")),
        "{got:?}"
    );
    let cut = "HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n{\"id\"".to_owned();
    assert!(matches!(ask(cut).await, Err(PlaneError::Unreachable(_))));
    let url = "http://127.0.0.1:9";
    let got: Result<Json, _> = client(url).call(Ask::get(Haste::PERSON, "users/me/", &[])).await;
    assert!(matches!(got, Err(PlaneError::Unreachable(_))), "{got:?}");
}

#[tokio::test]
async fn https_to_a_server_without_it_says_so() {
    let (url, _asked) = answering(raw("400 Bad Request", "", "no TLS here")).await;
    let got: Result<Json, _> = client(&url.replacen("http://", "https://", 1))
        .call(Ask::get(Haste::PERSON, "users/me/", &[]))
        .await;
    assert!(
        matches!(&got, Err(PlaneError::Unreachable(why)) if why.contains("http://")),
        "{got:?}"
    );
}

#[tokio::test]
async fn the_key_is_in_no_error() {
    let body = json!({"error": format!("no such key {KEY}")}).to_string();
    for status in ["400 Bad", "401 No", "403 No"] {
        let got = ask(raw(status, "", &body)).await.unwrap_err();
        assert!(!format!("{got} {got:?}").contains(KEY), "{got}");
    }
    let got = ask(raw("302 Found", &format!("Location: https://x.example/?k={KEY}\r\n"), ""))
        .await
        .unwrap_err();
    assert!(!format!("{got} {got:?}").contains(KEY), "{got}");
}

#[tokio::test]
async fn clocks_that_differ_are_set_against_each_other() {
    let (url, _asked) = answering(raw("200 OK", "Date: Tue, 01 Jan 2030 00:00:00 GMT\r\n", "{}")).await;
    let client = client(&url);
    assert_eq!(client.skew(), 0);
    let _: Json = client.call(Ask::get(Haste::PERSON, "users/me/", &[])).await.unwrap();
    let told = 1_893_456_000_000;
    let now = clock::now().0;
    assert!((now - told - client.skew()).abs() < 5_000, "{}", client.skew());
}

#[test]
fn pauses_are_seconds_or_dates_and_never_absurd() {
    assert_eq!(retry_after("7"), Some(Duration::from_secs(7)));
    assert_eq!(retry_after("0"), Some(Duration::from_secs(1)));
    assert_eq!(retry_after("99999999"), Some(Duration::from_secs(600)));
    assert_eq!(retry_after("Tue, 01 Jan 1980 00:00:00 GMT"), Some(Duration::from_secs(1)));
    assert_eq!(retry_after("Sun, 01 Jan 2130 00:00:00 GMT"), Some(Duration::from_secs(600)));
    assert_eq!(retry_after("soon"), None);
}
