//! A file that is written to the storage part by part: it is never in memory as a whole.

use std::time::Duration;

use object_store::path::Path;
use object_store::{ObjectStoreExt, WriteMultipart};
use sha2::{Digest, Sha256};

use super::store::{MediaStore, MediaStoreError, Rendition, digits};

/// How much is sent to the storage at once, in bytes. S3 takes no less than 5 MiB but as the last part.
const PART: usize = 8 * 1024 * 1024;
/// How many parts may be on their way to the storage.
const ON_THE_WAY: usize = 1;

/// Below each owner's folder, what is not whole yet.
pub(super) const FOLDER: &str = "incoming";
/// Nobody goes on writing after so long.
const ABANDONED: Duration = Duration::from_secs(24 * 3600);

/// A file that comes in. Until [`Incoming::finish`] nobody finds it. What a process that dies leaves behind goes with the
/// start of another one a day later, and from S3 by a life-cycle rule of the bucket.
pub struct Incoming {
    store: MediaStore,
    owner: String,
    /// Where it is until its hash is known.
    staged: Path,
    upload: WriteMultipart,
    hasher: Sha256,
    bytes: u64,
}

impl MediaStore {
    /// Begins to keep a file of `owner` whose hash is not known yet; `name` is the same whenever the same is fetched
    /// anew, so that one attempt replaces what another left behind.
    ///
    /// # Errors
    /// [`MediaStoreError::Away`].
    pub async fn begin(&self, owner: &str, name: &str) -> Result<Incoming, MediaStoreError> {
        let staged = self
            .folder(owner)
            .join(FOLDER)
            .join(digits(&Sha256::digest(name)));
        let upload = self.store.put_multipart(&staged).await?;
        Ok(Incoming {
            store: self.clone(),
            owner: owner.to_owned(),
            staged,
            upload: WriteMultipart::new_with_chunk_size(upload, PART),
            hasher: Sha256::new(),
            bytes: 0,
        })
    }
}

/// Removes what processes that died left half written below `root`, of every owner.
pub(super) fn sweep(root: &std::path::Path) -> std::io::Result<()> {
    for owner in std::fs::read_dir(root)? {
        let Ok(files) = std::fs::read_dir(owner?.path().join(FOLDER)) else {
            continue;
        };
        for file in files {
            let file = file?;
            let age = file.metadata()?.modified()?.elapsed();
            if age.is_ok_and(|age| age > ABANDONED) {
                std::fs::remove_file(file.path())?;
            }
        }
    }
    Ok(())
}

impl Incoming {
    /// Adds what comes next, once the storage keeps pace.
    ///
    /// # Errors
    /// [`MediaStoreError::Away`].
    pub async fn write(&mut self, part: &[u8]) -> Result<(), MediaStoreError> {
        self.upload.wait_for_capacity(ON_THE_WAY).await?;
        self.hasher.update(part);
        self.bytes += part.len() as u64;
        self.upload.write(part);
        Ok(())
    }

    /// Keeps it under its hash, in hexadecimal digits, which is returned with its size in bytes.
    ///
    /// # Errors
    /// [`MediaStoreError::Away`].
    pub async fn finish(self) -> Result<(String, u64), MediaStoreError> {
        self.upload.finish().await?;
        let hash = digits(&self.hasher.finalize());
        let place = self.store.place(&self.owner, &hash, Rendition::Original);
        self.store.store.rename(&self.staged, &place).await?;
        Ok((hash, self.bytes))
    }

    /// Forgets it. A storage that does not answer then keeps what it has of it.
    pub async fn abandon(self) {
        if let Err(error) = self.upload.abort().await {
            tracing::warn!(%error, "parts of a file that is not kept may be left in the storage");
        }
    }
}
