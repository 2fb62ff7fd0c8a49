//! The loops of a service: when one falls over, the service ends, so that whoever keeps it running starts it again.

use tokio::task::JoinSet;

use crate::shell::store::StoreError;

/// Why a service that had started stopped working.
#[derive(Debug, thiserror::Error)]
pub enum WorkError {
    /// The database, while what was left is taken up.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// One of the loops fell over. Without it nothing would be decided any more, while everything else answered as ever.
    #[error(
        "a part of the service fell over ({0}): it ends rather than stand still; what was recorded is safe, agents go on, start it again"
    )]
    Fell(String),
}

/// Waits until every loop has ended.
///
/// # Errors
/// [`WorkError::Fell`], at once: the others are ended then.
pub(super) async fn until_all_end(mut loops: JoinSet<()>) -> Result<(), WorkError> {
    while let Some(ended) = loops.join_next().await {
        if let Err(error) = ended {
            tracing::error!(%error, "a part of the service fell over: the service ends");
            return Err(WorkError::Fell(error.to_string()));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_loop_that_falls_over_ends_all_of_them() {
        let mut loops = JoinSet::new();
        loops.spawn(std::future::ready(()));
        loops.spawn(std::future::pending());
        loops.spawn(async { assert!(std::hint::black_box(false), "out of bounds") });
        let fell = until_all_end(loops).await;
        assert!(matches!(fell, Err(WorkError::Fell(_))), "{fell:?}");
        let mut loops = JoinSet::new();
        loops.spawn(std::future::ready(()));
        assert!(until_all_end(loops).await.is_ok());
    }
}
