//! The chat (B-UX): one live card per task, edited in place; alerts; and no task that waits for either.

use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};

use crate::world::telegram::{Call, Fault, TOKEN, Telegram};
use crate::world::{LONG, Setup, World};

const ROOM: i64 = -1_001_234_567_890;

/// A world whose chat is this Telegram.
fn world(telegram: &Telegram, agents: &str, set: &str) -> World {
    let chat = format!(
        "[chat]\nkind = \"telegram\"\ntoken = {{ file = \"chat-token\" }}\nchat = \"{ROOM}\"\nurl = \"http://{}\"\n",
        telegram.address
    );
    World::new(&Setup {
        agents: toml::from_str(agents).expect("agents"),
        set: toml::from_str(set).expect("settings"),
        config: toml::from_str(&chat).expect("a chat"),
        rules: vec![("chat-token".to_owned(), format!("{TOKEN}\n"))],
        ..Setup::default()
    })
}

fn confirm(world: &mut World, item: &str) {
    world.wait_blocker(item, "APPROVAL_WAIT");
    let answer = world.post(&format!("/api/tasks/{item}/approve"), &json!({})).expect("an answer");
    assert!(answer.ok(), "{answer:?}");
    world.wait_mode(item, "done");
}

/// What is seen of the task's card, once it holds `part`.
fn seen(world: &World, telegram: &Telegram, room: i64, item: &str, part: &str) -> String {
    let mut last = String::new();
    let begun = Instant::now();
    while !last.contains(part) {
        assert!(begun.elapsed() < LONG, "no card of {item} says {part:?}: {last}\n{}", world.tail());
        last = telegram.cards(room, item).pop().map(|m| m.seen).unwrap_or_default();
        std::thread::sleep(Duration::from_millis(10));
    }
    last
}

fn taken(calls: &[Call], method: &str) -> usize {
    calls.iter().filter(|c| c.method == method && c.status == 200).count()
}

/// The token stands nowhere but in the file that it was read from.
fn no_token(world: &mut World, item: &str) {
    let canary = TOKEN.split(':').nth(1).expect("a secret");
    assert!(!world.log().contains(canary), "the token is in the log");
    for path in ["/status", "/queue", "/api/timeline?after=0", &format!("/api/tasks/{item}")] {
        let text = world.get(path).to_string();
        assert!(!text.contains(canary), "the token is in {path}");
    }
    world.stop();
    for name in ["signalbox.db", "signalbox.db-wal"] {
        let bytes = std::fs::read(world.data().join(name)).unwrap_or_default();
        let found = bytes.windows(canary.len()).any(|w| w == canary.as_bytes());
        assert!(!found, "the token is in {name}");
    }
    world.start();
}

#[test]
fn one_card_is_edited_in_place_to_its_end() {
    let telegram = Telegram::start();
    let mut world = world(&telegram, "", "");
    world.start();
    let item = world.new_task("Say <b>hello</b> & \"goodbye\"");
    let waits = seen(&world, &telegram, ROOM, &item, "waits for a person's verdict");
    assert!(waits.contains("Say <b>hello</b> & \"goodbye\""), "{waits}");
    // Less than a second of review is told as none.
    std::thread::sleep(Duration::from_millis(1100));
    confirm(&mut world, &item);
    let done = seen(&world, &telegram, ROOM, &item, "done");
    for part in [
        "development: ",
        "testing: ",
        "deploy: ",
        "people looked at it for ",
        "change #1",
        ", after ",
    ] {
        assert!(done.contains(part), "{part}: {done}");
    }
    let shown = world.show(&item);
    assert!(shown["task"]["review_ms"].as_i64() > Some(0), "{shown}");
    assert!(
        shown["review_started_at"].is_null() && shown["review_ended_at"].is_string(),
        "{shown}"
    );
    assert_eq!(telegram.messages(ROOM).len(), 1, "one message in all");
    let calls = telegram.calls();
    assert_eq!(taken(&calls, "sendMessage"), 1, "{calls:?}");
    assert!(calls.iter().all(|c| c.status == 200), "{calls:?}");
    // When they arrived, not when they were sent: where the first was late, by a second even, they seem closer than they were.
    if let [first, .., last] = calls.as_slice() {
        let least = Duration::from_secs(calls.len() as u64 - 2);
        assert!(last.at - first.at >= least, "about one a second: {calls:?}");
    }
    world.nothing_is_left();
    world.start();
    no_token(&mut world, &item);
    // A start alone changes nothing in the room.
    std::thread::sleep(Duration::from_millis(1500));
    assert_eq!(telegram.calls().len(), calls.len());
}

#[test]
fn alerts_come_in_order_and_the_chat_is_given_the_time_it_asks_for() {
    let telegram = Telegram::start();
    telegram.faults([Fault::Slow(3)]);
    let mut world = world(
        &telegram,
        "[developer]\ndo = [\"crash\"]",
        "\"retry.attempts\" = 1\n\"retry.base\" = \"10ms\"",
    );
    world.start();
    let item = world.new_task("Crash");
    world.wait_mode(&item, "escalated");
    let answer = world.post(&format!("/api/tasks/{item}/stop"), &json!({})).expect("an answer");
    assert!(answer.ok(), "{answer:?}");
    seen(&world, &telegram, ROOM, &item, "stopped");
    world.nothing_is_left();
    let alerts: Vec<String> = telegram
        .messages(ROOM)
        .into_iter()
        .map(|m| m.seen)
        .filter(|t| !t.contains('\n'))
        .collect();
    let [failed, stopped] = alerts.as_slice() else {
        panic!("{alerts:?}\n{}", world.tail())
    };
    assert!(
        failed.contains("failed for good") || failed.contains("needs a person"),
        "{alerts:?}"
    );
    assert!(stopped.contains("was stopped"), "{alerts:?}");
    for alert in &alerts {
        assert_eq!(world.log().matches(alert.as_str()).count(), 1, "it is in the log once: {alert}");
    }
    let calls = telegram.calls();
    assert_eq!((calls[0].status, calls[1].status), (429, 200), "{calls:?}");
    assert!(calls[1].at - calls[0].at >= Duration::from_secs(3), "{calls:?}");
    assert_eq!(telegram.cards(ROOM, &item).len(), 1);
}

#[test]
fn a_chat_that_is_down_holds_up_no_task_and_shows_the_end_when_it_is_back() {
    let telegram = Telegram::start();
    telegram.down(Some(502));
    let mut world = world(&telegram, "", "");
    world.start();
    let item = world.new_task("Nobody reads this");
    confirm(&mut world, &item);
    let status = world.get("/status");
    let problem = status["problems"][0]["text"].as_str().unwrap_or_default().to_owned();
    assert!(problem.contains("does not answer"), "{status}");
    assert_eq!(taken(&telegram.calls(), "sendMessage"), 0);
    telegram.down(None);
    let done = seen(&world, &telegram, ROOM, &item, "done");
    assert!(done.contains("Nobody reads this"), "{done}");
    world.until("the log says that it works", || world.log().contains("the chat works again"));
    assert_eq!(world.get("/status")["problems"], json!([]));
    assert_eq!(world.log().matches("the chat does not answer").count(), 1, "{}", world.tail());
    assert_eq!(taken(&telegram.calls(), "sendMessage"), 1);
    world.nothing_is_left();
}

#[test]
fn a_bot_that_was_thrown_out_is_told_once_and_let_in_again_by_a_reload() {
    let telegram = Telegram::start();
    telegram.down(Some(403));
    let mut world = world(&telegram, "", "");
    world.start();
    let item = world.new_task("Nobody reads this");
    confirm(&mut world, &item);
    world.until("a first try", || !telegram.calls().is_empty());
    let problem = |status: &Json| status["problems"][0]["text"].as_str().unwrap_or_default().to_owned();
    world.until("it is in the log", || world.log().contains("takes nothing from us"));
    assert!(problem(&world.get("/status")).contains("bot was kicked"), "{}", world.tail());
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(telegram.calls().len(), 1, "no storm: {:?}", telegram.calls());
    telegram.down(None);
    let answer = world.post("/api/reload", &json!({})).expect("an answer");
    assert!(answer.ok(), "{answer:?}");
    seen(&world, &telegram, ROOM, &item, "done");
    assert_eq!(world.log().matches("takes nothing from us").count(), 1, "{}", world.tail());
    assert_eq!(problem(&world.get("/status")), "");
    world.nothing_is_left();
}

#[test]
fn a_wrong_token_is_mended_by_a_reload() {
    let telegram = Telegram::start();
    let mut world = world(&telegram, "", "");
    std::fs::write(world.path("chat-token"), "1:wrong").expect("written");
    world.start();
    let item = world.new_task("Who am I");
    world.wait_blocker(&item, "APPROVAL_WAIT");
    world.until("it is in the log", || world.log().contains("Unauthorized: see to `token`"));
    std::fs::write(world.path("chat-token"), TOKEN).expect("written");
    let answer = world.post("/api/reload", &json!({})).expect("an answer");
    assert!(answer.ok(), "{answer:?}");
    seen(&world, &telegram, ROOM, &item, "waits for a person's verdict");
    // A token that cannot be read refuses the reload; the chat goes on as it was.
    std::fs::remove_file(world.path("chat-token")).expect("removed");
    let answer = world.post("/api/reload", &json!({})).expect("an answer");
    assert!(!answer.ok() && answer.refusal().contains("chat.token"), "{answer:?}");
    confirm(&mut world, &item);
    seen(&world, &telegram, ROOM, &item, "done");
    std::fs::write(world.path("chat-token"), TOKEN).expect("written");
    world.nothing_is_left();
}

#[test]
fn a_group_that_has_become_another_room_is_followed_for_good() {
    let telegram = Telegram::start();
    let to = -1_009_999_999_999;
    let mut world = world(&telegram, "", "");
    world.start();
    let item = world.new_task("We have moved");
    seen(&world, &telegram, ROOM, &item, "waits for a person's verdict");
    telegram.migrate(ROOM, to);
    confirm(&mut world, &item);
    seen(&world, &telegram, to, &item, "done");
    let refused = |calls: &[Call]| calls.iter().filter(|c| c.status == 400).count();
    assert_eq!(refused(&telegram.calls()), 1);
    world.stop();
    world.start();
    let next = world.new_task("A second one");
    seen(&world, &telegram, to, &next, "waits for a person's verdict");
    assert_eq!(
        refused(&telegram.calls()),
        1,
        "the old room is not asked again: {:?}",
        telegram.calls()
    );
    world.nothing_is_left();
}

#[test]
fn a_card_that_is_deleted_unreadable_or_lost_on_the_way_is_shown_all_the_same() {
    let telegram = Telegram::start();
    telegram.faults([Fault::Markup, Fault::Lost, Fault::Status(502)]);
    let mut world = world(&telegram, "[developer]\ndo = [\"held\"]", "");
    world.start();
    let item = world.new_task("Fragile");
    // What is sent as plain text is sent with its tags left out.
    world.until("a plain message", || {
        telegram
            .messages(ROOM)
            .iter()
            .any(|m| m.text.starts_with(&format!("{item} · it\nFragile")))
    });
    world.let_go();
    seen(&world, &telegram, ROOM, &item, "waits for a person's verdict");
    telegram.delete_all();
    confirm(&mut world, &item);
    let done = seen(&world, &telegram, ROOM, &item, "done");
    assert!(done.contains("Fragile"), "{done}");
    assert_eq!(telegram.messages(ROOM).len(), 1);
    world.nothing_is_left();
}

#[test]
fn whatever_a_title_holds_is_text() {
    let titles = [
        "<b>&".to_owned(),
        "</b></a><script>alert(1)</script> &lt; {{ item }} {% raw %}".to_owned(),
        "😀".repeat(200),
        "שלום עולם \u{202e}txt.exe مرحبا".to_owned(),
        "x".repeat(10_000),
    ];
    let telegram = Telegram::start();
    let mut world = world(&telegram, "[developer]\ndo = [\"slow:60000\"]", "\"entry.title_max\" = 500");
    world.start();
    for title in &titles {
        let answer = world
            .post("/api/tasks", &json!({"title": title, "text": "Please."}))
            .expect("an answer");
        let Some(item) = answer.body["item"].as_str().filter(|i| !i.contains('#')).map(str::to_owned) else {
            assert!(!answer.ok(), "{answer:?}");
            assert!(title.len() > 5000, "only the longest is refused: {answer:?}");
            continue;
        };
        let head = title.chars().filter(|c| *c != '\u{202e}').take(20).collect::<String>();
        let text = seen(&world, &telegram, ROOM, &item, head.trim());
        assert!(!text.contains('\u{202e}'), "{text}");
    }
    assert!(telegram.calls().iter().all(|c| c.status == 200), "{:?}", telegram.calls());
    world.nothing_is_left();
}
