//! What a run is given beside its `spec.json`: secrets, which are kept in no file.
//!
//! They lie in a nameless file in memory that is the shim's standard input, and is emptied once it is read. The shim then
//! has them whatever becomes of the service.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::fd::AsFd;

use nix::sys::memfd::{MFdFlags, memfd_create};
use serde::{Deserialize, Serialize};

use super::RunSpec;
use crate::shell::mask::{Mask, secretive};
use crate::shell::secret;

/// Longest, in bytes.
const LONGEST: u64 = 16 * 1024 * 1024;

/// Secrets for a run.
#[derive(Default, Serialize, Deserialize)]
pub(crate) struct Handover {
    /// Variables of the agent whose names say that they are secret.
    pub(crate) env: BTreeMap<String, String>,
    /// The service's own secrets: only to be masked, should the agent have got hold of one.
    hidden: Vec<String>,
}

impl Handover {
    /// Takes what is secret out of what is to be written down.
    pub(super) fn take(spec: &mut RunSpec) -> Self {
        let env = std::mem::take(&mut spec.env);
        let (secret, plain) = env.into_iter().partition(|(name, _)| secretive(name));
        spec.env = plain;
        Self {
            env: secret,
            hidden: secret::known(),
        }
    }

    /// As the standard input of a shim.
    ///
    /// # Errors
    /// When there is no memory for it.
    pub(super) fn file(&self) -> io::Result<File> {
        let mut file = File::from(memfd_create(c"signalbox-run", MFdFlags::MFD_CLOEXEC)?);
        file.write_all(&serde_json::to_vec(self)?)?;
        file.rewind()?;
        Ok(file)
    }

    /// Reads it in the shim; one that was started by hand is given none.
    ///
    /// # Errors
    /// When something was given and cannot be read: an agent without its secrets would only fail.
    pub(crate) fn receive() -> io::Result<Self> {
        Self::read(File::from(io::stdin().as_fd().try_clone_to_owned()?))
    }

    fn read(mut file: File) -> io::Result<Self> {
        // A terminal would be waited for.
        if !file.metadata()?.is_file() {
            return Ok(Self::default());
        }
        let mut text = Vec::new();
        Read::by_ref(&mut file).take(LONGEST).read_to_end(&mut text)?;
        // Whoever may look into this process's files finds nothing there.
        file.set_len(0)?;
        Ok(serde_json::from_slice(&text)?)
    }

    /// Completes the environment, and tells what is to be masked in all that the run prints.
    pub(crate) fn mask(&self, spec: &mut RunSpec) -> Mask {
        let named = spec.env.iter().filter(|(name, _)| secretive(name)).map(|(_, value)| value.clone());
        let values: Vec<String> = named.chain(self.env.values().cloned()).chain(self.hidden.iter().cloned()).collect();
        spec.env.extend(self.env.clone());
        Mask::new(values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_read_once_and_leaves_nothing() -> io::Result<()> {
        let given = Handover {
            env: BTreeMap::from([("API_KEY".to_owned(), "hunter2".to_owned())]),
            hidden: vec!["our own".to_owned()],
        };
        let file = given.file()?;
        let read = Handover::read(file.try_clone()?)?;
        assert_eq!((&read.env, &read.hidden), (&given.env, &given.hidden));
        assert_eq!(file.metadata()?.len(), 0);
        assert!(Handover::read(file).is_err(), "what was given and is gone is no empty hand");
        assert!(Handover::read(File::open("/dev/null")?)?.env.is_empty());
        Ok(())
    }
}
