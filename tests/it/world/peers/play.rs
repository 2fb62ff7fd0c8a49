//! Plays a scenario file between peers: acts of people become their acts on the board and on the
//! forge. What has no place there (a retry, what is refused) goes through the service's own door.

use std::time::{Duration, Instant};

use serde_json::json;

use super::super::{LONG, Scenario, Step, play::reached};
use super::Town;

/// After so long without news whoever is at work is not expected to end by itself.
const HANGS: Duration = Duration::from_secs(90);

/// Plays all steps.
pub fn play(town: &mut Town, scenario: &Scenario) {
    town.world.start();
    for step in &scenario.steps {
        town.step(step);
    }
    town.settle();
}

impl Town {
    /// Plays a scenario to its end.
    pub fn play(&mut self, scenario: &Scenario) {
        play(self, scenario);
    }

    fn step(&mut self, step: &Step) {
        if let Some(item) = &step.wait {
            return self.wait(item, step);
        }
        // As a person does who looks at the board first.
        self.read_the_board();
        if step.refused.is_some() || step.retry.is_some() {
            return self.at_the_door(step);
        }
        if let Some(title) = &step.new {
            return self.new_issue(title, step);
        }
        if step.let_go == Some(true) {
            self.world.until("what was said before told", || {
                self.plane.all_sent() && self.gitea.all_sent() && self.courier.idle()
            });
            self.read_the_board();
            return self.world.let_go();
        }
        if !self.on_the_board(step) && !self.on_the_forge(step) {
            match step.restart.as_deref() {
                Some("kill") => self.world.kill(),
                Some("order") => self.world.stop(),
                _ => panic!("it cannot be played between peers: {step:?}"),
            }
            self.world.start();
        }
    }

    fn read_the_board(&self) {
        let begun = Instant::now();
        // Whoever acts undisturbed acts after what was said before is heard.
        let heard = || !self.courier.is_plain() || (self.plane.all_sent() && self.gitea.all_sent() && self.courier.idle());
        while !(heard() && self.shown() && heard() && self.shown()) {
            assert!(begun.elapsed() < LONG, "not everything is shown:\n{}", self.world.tail());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn new_issue(&self, title: &str, step: &Step) {
        let person = self.plane.person(who(step));
        let text = step.text.as_deref().unwrap_or("Please.");
        let issue = person.creates(title, &format!("<p>{text}</p>"));
        if self.courier.loses() {
            // Else what is told of the making would show the start as well, or not, as chance has it.
            self.world
                .until("the new issue told", || self.plane.all_sent() && self.courier.idle());
            self.read_the_board();
        }
        if !step.labels.is_empty() {
            person.labels(&issue, &step.labels.iter().map(String::as_str).collect::<Vec<_>>());
        }
        person.moves(&issue, "To Analyse");
    }

    /// Whether it is an act on the board.
    fn on_the_board(&self, step: &Step) -> bool {
        let said = |prefix: &str| step.text.as_ref().map(|text| format!("<p>{prefix}{text}</p>"));
        let person = self.plane.person(who(step));
        let moves = |item: &str, status: &str| person.moves(&self.issue(item), status);
        let says = |item: &str, html: String| person.comments(&self.issue(item), &html);
        if let Some(item) = &step.approve {
            match said(":approved: ") {
                Some(html) => says(item, html),
                None => moves(item, "Approved"),
            }
        } else if let Some(item) = &step.reject {
            match said(":rejected: ") {
                Some(html) => says(item, html),
                None => moves(item, "Rejected"),
            }
        } else if let Some(item) = &step.confirm {
            moves(item, "Confirm Deploy");
        } else if let Some(item) = &step.stop {
            moves(item, "STOP");
        } else if let Some(item) = step.answer.as_ref().or(step.comment.as_ref()) {
            says(item, said("").expect("a comment has a `text`"));
        } else if let Some(item) = &step.status {
            moves(item, step.to.as_deref().expect("`status` says `to`"));
        } else if let Some(item) = &step.label {
            let issue = self.issue(item);
            let mut labels = self.plane.labels(&issue);
            labels.push(step.name.clone().expect("`label` has a `name`"));
            person.labels(&issue, &labels.iter().map(String::as_str).collect::<Vec<_>>());
        } else {
            return false;
        }
        true
    }

    /// Whether it is an act on the forge.
    fn on_the_forge(&mut self, step: &Step) -> bool {
        let text = step.text.clone().unwrap_or_default();
        let content = step.content.clone().unwrap_or_default();
        let file = step.file.as_deref().unwrap_or_default();
        if let Some(item) = &step.push {
            let branch = self.branch(item);
            self.gitea.person("bob").pushes(&branch, file, &content);
        } else if let Some(file) = &step.commit_base {
            self.gitea.person("bob").pushes("main", file, &content);
        } else if let Some(item) = &step.ci {
            let branch = self.branch(item);
            let head = self.gitea.branch(&branch).expect("the branch");
            let (name, word) = (step.name.as_deref(), step.is.as_deref());
            self.gitea.ci(&head, name.expect("a `name`"), word.expect("`is`"));
        } else if let Some(item) = &step.review {
            let branch = self.branch(item);
            let pull = self.gitea.open_pull(&branch);
            let bob = self.gitea.person("bob");
            match step.is.as_deref() {
                Some("approved") => bob.approves(pull),
                Some("changes") => bob.requests_changes(pull, &text),
                other => panic!("`is = {other:?}`: approved or changes"),
            }
        } else {
            return false;
        }
        true
    }

    fn branch(&mut self, item: &str) -> String {
        self.world.show(item)["branch"].as_str().expect("a branch").to_owned()
    }

    fn at_the_door(&self, step: &Step) {
        let acts = [
            (&step.retry, "retry", json!({"text": step.text})),
            (&step.approve, "approve", json!({"text": step.text})),
            (&step.confirm, "approve", json!({"signal": "confirm_deploy"})),
        ];
        let (item, verb, body) = acts
            .into_iter()
            .find_map(|(item, verb, body)| Some((item.as_ref()?, verb, body)))
            .unwrap_or_else(|| panic!("it has no place at the door: {step:?}"));
        let answer = self.world.post(&format!("/api/tasks/{item}/{verb}"), &body).expect("an answer");
        match &step.refused {
            None => assert!(answer.ok(), "{verb} is refused: {answer:?}"),
            Some(words) => assert!(
                !answer.ok() && answer.refusal().contains(words),
                "{verb} should be refused with {words:?}: {answer:?}"
            ),
        }
    }

    fn wait(&mut self, item: &str, step: &Step) {
        let until = step.until.as_deref().expect("`wait` says `until`");
        let (mut begun, mut place) = (Instant::now(), 0);
        while !self.come_to(item, until, step) {
            // Only where all is still can nothing but a nudge bring it on; an agent that hangs is as good as still.
            if let Some(lost) = self.courier.lost()
                && !self.nudged.contains(&lost)
                && (self.still() || begun.elapsed() > HANGS)
                && !self.come_to(item, until, step)
            {
                self.nudge(item);
                self.nudged.push(lost);
            }
            assert!(
                begun.elapsed() < LONG,
                "{item} does not come to {until} {:?}; told of: {:#?}, lost: {:?}\n{:#}\n{}",
                step.at,
                self.courier.people(),
                self.courier.lost(),
                self.show(item)["task"],
                self.world.tail()
            );
            if ["agent ", "status ", "comment "].iter().any(|what| until.starts_with(what)) {
                std::thread::sleep(Duration::from_millis(50));
            } else {
                // What is decided is news; what has none is seen within a second.
                let news = self.world.get(&format!("/api/timeline?after={place}&wait=1"));
                let next = news["next"].as_i64().unwrap_or(place);
                if next != place {
                    // It goes on, however slowly.
                    (place, begun) = (next, Instant::now());
                }
            }
        }
    }

    fn come_to(&mut self, item: &str, until: &str, step: &Step) -> bool {
        if let Some(agent) = until.strip_prefix("agent ") {
            let begun = self.world.begun();
            return begun.iter().filter(|e| e.item == item && e.agent == agent).count() >= step.nth.unwrap_or(1);
        }
        if until == "heard" {
            return self.shown();
        }
        let seen = self.show(item);
        step.at.as_ref().is_none_or(|stage| seen["task"]["stage"] == stage.as_str()) && reached(&seen, until)
    }

    /// The same for every task, unless what was lost was made good in that way before; whether it was done.
    pub fn nudge_all(&mut self) -> bool {
        let Some(lost) = self.courier.lost().filter(|lost| !self.nudged.contains(lost)) else {
            return false;
        };
        let list = self.world.get("/api/tasks?all=1");
        for task in list["tasks"].as_array().expect("tasks") {
            self.nudge(task["item"].as_str().expect("an item"));
        }
        self.nudged.push(lost);
        true
    }

    /// Something that means nothing happens on the board and, where there is a pull request, on the
    /// forge: an occasion to look, and nothing else.
    fn nudge(&mut self, item: &str) {
        self.plane.person("mallory").comments(&self.issue(item), "<p><br></p>");
        let branch = self.world.show(item)["branch"].as_str().unwrap_or_default().to_owned();
        let open = self.gitea.pulls(&branch).into_iter().find(|(_, open, _)| *open);
        if let Some((pull, ..)) = open {
            self.gitea.person("eve").reading_only().comments(pull, "I see.");
        }
    }
}

/// Who acts on the board.
fn who(step: &Step) -> &str {
    step.by.as_deref().unwrap_or("alice")
}
