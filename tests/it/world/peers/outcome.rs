//! What came of a scenario between peers: on the board, on the forge, in the service.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};

use super::super::Outcome;
use super::super::Scenario;
use super::super::outcome::end_of;
use super::super::transcript::{normal, told};
use super::Town;

impl Town {
    /// Waits until nothing is under way, then reads what came of it all.
    pub fn outcome(&mut self) -> Outcome {
        self.settle();
        let list = self.world.get("/api/tasks?all=1");
        let items = list["tasks"].as_array().expect("tasks").iter();
        let mut names: Vec<String> = items.map(|t| t["item"].as_str().unwrap_or_default().to_owned()).collect();
        names.extend((1..=self.plane.issues()).map(|number| format!("it#{number}")));
        let tasks = names.into_iter().map(|name| {
            let end = self.end(&name);
            (name, end)
        });
        Outcome {
            tasks: tasks.collect(),
            main: self.gitea.main().into_iter().map(|(path, text)| (path, normal(&text))).collect(),
            runs: self.world.runs(),
        }
    }

    fn end(&mut self, name: &str) -> Json {
        let seen = self.show(name);
        let mut end = end_of(&seen);
        let branch = seen["branch"].as_str().unwrap_or_default();
        let pulls = self.gitea.pulls(branch);
        let of = |(_, open, merged): &(i64, bool, bool)| json!({"open": open, "merged": merged});
        end["branch"] = json!({"there": self.gitea.branch(branch).is_some(), "pulls": pulls.iter().map(of).collect::<Vec<_>>()});
        let mut jobs: BTreeMap<String, usize> = BTreeMap::new();
        for job in seen["jobs"].as_array().into_iter().flatten() {
            *jobs.entry(format!("{} {}", job["slot"], job["state"])).or_insert(0) += 1;
        }
        end["jobs"] = json!(jobs);
        end
    }

    /// Tells what was played here.
    pub fn transcript(&mut self, scenario: &Scenario) -> String {
        let shown: BTreeMap<String, Json> = {
            let list = self.world.get("/api/tasks?all=1");
            let items = list["tasks"].as_array().expect("tasks").iter();
            let mut names: Vec<String> = items.map(|t| t["item"].as_str().unwrap_or_default().to_owned()).collect();
            names.push("it#1".to_owned());
            names.into_iter().map(|name| (name.clone(), self.show(&name))).collect()
        };
        let mut text = told(&mut self.world, scenario, |row| !noise(row), |_, item| shown[item].clone());
        // Two hooks tell of one push: which comes first is chance.
        let moved = regex::Regex::new(r"pull request #\d+ was moved").expect("a pattern");
        text = moved.replace_all(&text, "the branch moved").into_owned();
        text.push_str("\n== what people and CI did, as it was told\n\n");
        for line in self.courier.people() {
            text.push_str(&line);
            text.push('\n');
        }
        text
    }
}

/// A look that nothing followed from: whether it came before or after others is chance.
fn noise(row: &Json) -> bool {
    row["what"].as_str().is_some_and(|what| what.starts_with("looked again"))
        && row["decisions"].as_array().is_none_or(Vec::is_empty)
        && row["from"] == row["to"]
}
