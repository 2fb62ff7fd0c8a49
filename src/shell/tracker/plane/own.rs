//! Under which users the service and its agents write.

use std::collections::BTreeMap;
use std::future::Future;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::engine::model::Name;

use super::error::PlaneError;

/// How long an agent's key that was refused is not tried again.
const AGAIN: Duration = Duration::from_mins(5);

/// Ids of the users whose writing is our own. Each key is asked for its owner once, for it keeps them.
#[derive(Default)]
pub(super) struct Own(Mutex<Known>);

#[derive(Default)]
struct Known {
    service: Option<String>,
    agents: BTreeMap<Name, Agent>,
}

/// What is known of an agent's key.
enum Agent {
    /// Its owner.
    Id(String),
    /// It is refused; when it was tried last.
    Refused(Instant),
}

impl Own {
    /// The ids, as far as they can be known: nothing can be written under an agent's key that is refused, the service writes
    /// for it, so that people are heard without it. `ask` asks for the owner of a key.
    ///
    /// # Errors
    /// [`PlaneError`]: of the service's own key whatever goes wrong, of an agent's all but that it is refused.
    pub async fn ids<'k, K: 'k, F>(
        &self,
        service: &'k K,
        agents: impl Iterator<Item = (&'k Name, &'k K)>,
        ask: impl Fn(&'k K) -> F,
        now: Instant,
    ) -> Result<Vec<String>, PlaneError>
    where
        F: Future<Output = Result<String, PlaneError>>,
    {
        let mut known = self.0.lock().await;
        let mut ids = Vec::new();
        match &known.service {
            Some(id) => ids.push(id.clone()),
            None => ids.push(known.service.insert(ask(service).await?).clone()),
        }
        for (name, key) in agents {
            let before = match known.agents.get(name) {
                Some(Agent::Id(id)) => {
                    ids.push(id.clone());
                    continue;
                }
                Some(Agent::Refused(at)) if now.saturating_duration_since(*at) < AGAIN => continue,
                before => before.is_some(),
            };
            let found = match ask(key).await {
                Ok(id) => {
                    if before {
                        tracing::info!(agent = %name, "the agent's own key is accepted again");
                    }
                    ids.push(id.clone());
                    Agent::Id(id)
                }
                Err(why @ (PlaneError::Key(_) | PlaneError::Forbidden(_))) if !before => {
                    tracing::warn!(agent = %name, "the agent's own key is refused: who writes under it is not known, the service writes for it ({why})");
                    Agent::Refused(now)
                }
                // As far as is known it is refused still: nobody waits for it.
                Err(_) if before => Agent::Refused(now),
                Err(why) => return Err(why),
            };
            known.agents.insert(name.clone(), found);
        }
        Ok(ids)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex as Plain;

    use super::*;

    /// Keys by what a server answers to them, and how often it was asked.
    struct Server {
        answers: Plain<BTreeMap<&'static str, Result<String, PlaneError>>>,
        asked: Plain<Vec<&'static str>>,
    }

    impl Server {
        fn new(answers: &[(&'static str, Result<&str, PlaneError>)]) -> Self {
            let answers = answers.iter().map(|(key, answer)| (*key, answer.clone().map(str::to_owned)));
            Self {
                answers: Plain::new(answers.collect()),
                asked: Plain::default(),
            }
        }

        fn set(&self, key: &'static str, answer: Result<&str, PlaneError>) {
            self.answers.lock().unwrap().insert(key, answer.map(str::to_owned));
        }

        async fn of(&self, own: &Own, now: Instant) -> Result<Vec<String>, PlaneError> {
            let agents = [(Name::new("analyst"), "a"), (Name::new("tester"), "t")];
            let ask = |key: &&'static str| {
                self.asked.lock().unwrap().push(*key);
                let answer = self.answers.lock().unwrap()[key].clone();
                async move { answer }
            };
            own.ids(&"s", agents.iter().map(|(name, key)| (name, key)), ask, now).await
        }

        fn asked(&self) -> String {
            self.asked.lock().unwrap().drain(..).collect()
        }
    }

    fn refused() -> PlaneError {
        PlaneError::Key("Given API token is not valid".to_owned())
    }

    #[tokio::test]
    async fn an_agents_key_that_is_refused_is_looked_at_again_later_and_keeps_nobody_waiting() {
        let (own, now) = (Own::default(), Instant::now());
        let server = Server::new(&[("s", Ok("1")), ("a", Err(refused())), ("t", Ok("3"))]);
        assert_eq!(server.of(&own, now).await.unwrap(), ["1", "3"]);
        assert_eq!(server.asked(), "sat");
        let soon = now + AGAIN - Duration::from_secs(1);
        assert_eq!(server.of(&own, soon).await.unwrap(), ["1", "3"]);
        assert_eq!(server.asked(), "", "not at every delivery");
        server.set("a", Err(PlaneError::Timeout));
        assert_eq!(server.of(&own, now + AGAIN).await.unwrap(), ["1", "3"]);
        assert_eq!(server.asked(), "a");
        server.set("a", Ok("2"));
        assert_eq!(server.of(&own, now + AGAIN + AGAIN).await.unwrap(), ["1", "2", "3"]);
        assert_eq!(server.of(&own, now + AGAIN * 9).await.unwrap(), ["1", "2", "3"]);
        assert_eq!(server.asked(), "a", "an owner stays");
    }

    /// What passes is waited for, and whoever the service itself is must be known.
    #[tokio::test]
    async fn anything_else_that_goes_wrong_is_an_error_and_not_kept() {
        let (own, now) = (Own::default(), Instant::now());
        let server = Server::new(&[("s", Err(refused())), ("a", Err(PlaneError::Timeout)), ("t", Ok("3"))]);
        assert_eq!(server.of(&own, now).await, Err(refused()));
        server.set("s", Ok("1"));
        assert_eq!(server.of(&own, now).await, Err(PlaneError::Timeout));
        server.set("a", Ok("2"));
        assert_eq!(server.of(&own, now).await.unwrap(), ["1", "2", "3"]);
        assert_eq!(server.asked(), "ssaat");
    }
}
