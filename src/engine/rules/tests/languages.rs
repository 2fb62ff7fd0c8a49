//! Alerts and cards are in the chat's language, everything else in the language of the texts.

use super::super::{Loaded, revive};
use super::{load, with_projects};

fn loaded(head: &str) -> Loaded {
    let loaded = load(&with_projects(&format!(
        "schema = 1\n{head}\n[projects.p]\npipeline = \"local\"\nprefix = \"P\"\ntracker = {{ kind = \"local\" }}\n\
         forge = {{ kind = \"local\", source = \"r\", default_branch = \"main\" }}\nset = {{ \"agents.*.run\" = [\"true\"] }}\n"
    )));
    assert!(!loaded.failed(), "{:#?}", loaded.diagnostics);
    loaded
}

const CHAT: &str = "[chat]\nkind = \"telegram\"\ntoken = { env = \"T\" }\nchat = \"-5\"\n";

#[test]
fn the_chat_may_speak_another_language() {
    let plain = loaded("");
    let same = loaded(CHAT);
    let other = loaded(&format!("{CHAT}language = \"ru\"\n"));
    let back = loaded(&format!("language = \"ru\"\n{CHAT}language = \"en\"\n"));
    let rules = |l: &Loaded| l.rulesets.values().next().unwrap().clone();
    assert_eq!(rules(&plain).hash, rules(&same).hash, "a chat alone changes no rules");
    assert_ne!(rules(&plain).hash, rules(&other).hash);
    let says = |l: &Loaded, key: &str, part: &str| rules(l).messages[key].contains(part);
    assert!(says(&other, "alert.stopped", "задача остановлена") && says(&other, "card.task", "ждёт решения"));
    assert!(says(&other, "comment.done", "is done"));
    assert!(says(&back, "alert.stopped", "was stopped") && !says(&back, "comment.done", "is done"));
    for loaded in [&other, &back] {
        let inputs = loaded.inputs.values().next().unwrap();
        let revived = revive(&inputs.stored()).unwrap();
        assert_eq!(revived.hash, rules(loaded).hash);
        assert_eq!(revived.messages, rules(loaded).messages);
    }
}
