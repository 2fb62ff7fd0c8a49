//! What the world answers when facts are asked for, at the head and in the round they are asked about.

use super::*;

impl World {
    // ---- what is known

    pub fn facts(&self, event: &Event) -> Facts {
        let (at, base) = reading(&self.task, event);
        let keys = needs(&self.rules, &self.task, event);
        Facts(
            keys.into_iter()
                .map(|key| (key.clone(), self.fact(&key, at.as_ref(), base.as_deref())))
                .collect(),
        )
    }

    fn fact(&self, key: &FactKey, at: Option<&Head>, base: Option<&str>) -> Fact {
        if self.dark.contains(key) {
            return Fact::Unreachable {
                since: self.now,
                why: "no answer".to_owned(),
            };
        }
        let place = at.map_or(0, |h| number(&h.sha));
        let from = base.map_or(0, number);
        let known = |file: &String| self.artefacts.get(file).filter(|a| a.at <= place);
        match key {
            FactKey::Issue => Fact::Known(Value::Issue(self.issue.clone())),
            FactKey::Head => Fact::Known(Value::Head(HeadFact {
                head: (self.tip.0 > 0).then(|| head(self.tip)),
                base: "base".to_owned(),
                descends: self.tip.0 >= place,
                touched: self.touched.clone(),
                commits: vec!["c1 a change".to_owned()],
            })),
            FactKey::Files => {
                let here = self.artefacts.iter().filter(|(_, a)| a.at <= place);
                let files = here.map(|(path, a)| FileFact {
                    path: path.clone(),
                    id: format!("{path}@{}", a.at),
                    fresh: a.at > from,
                });
                Fact::Known(Value::Files(files.collect()))
            }
            FactKey::Frontmatter(file) => known(file).map_or(Fact::Absent, |a| {
                Fact::Known(Value::Frontmatter(FrontmatterFact { values: a.values.clone() }))
            }),
            FactKey::Text(file) => known(file).map_or(Fact::Absent, |a| Fact::Known(Value::Text(a.text.clone()))),
            FactKey::Json(file) => self.json.get(file).map_or(Fact::Absent, |j| Fact::Known(Value::Json(j.clone()))),
            FactKey::Checks => {
                let all = self.checks.iter().map(|(context, state)| CheckFact {
                    context: context.clone(),
                    state: *state,
                });
                Fact::Known(Value::Checks(all.collect()))
            }
            FactKey::Reviews => Fact::Known(Value::Reviews(self.reviews_at(place))),
            FactKey::Mergeable => Fact::Known(Value::Mergeable(MergeFact {
                conflicts: self.conflicts.clone(),
                behind: self.behind,
                base: "base".to_owned(),
            })),
        }
    }

    fn reviews_at(&self, place: u32) -> Vec<ReviewFact> {
        let subject = |commit: u32| self.subjects.get(&commit).copied().unwrap_or_default();
        let mut all = self.reviews.clone();
        for review in &mut all {
            review.current = subject(number(&review.commit)) == subject(place);
        }
        all
    }

    /// Someone requests changes on the forge, on the branch as it stands.
    pub fn requests_changes(&mut self) {
        self.reviews = vec![ReviewFact {
            author: "rita".to_owned(),
            state: ReviewState::Changes,
            commit: sha(self.tip.0),
            current: true,
            body: "mind the switches".to_owned(),
        }];
    }
}
