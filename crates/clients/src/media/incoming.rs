//! A file that is written to the storage part by part: it is never in memory as a whole.

use object_store::path::Path;
use object_store::{ObjectStoreExt, WriteMultipart};
use sha2::{Digest, Sha256};

use super::store::{MediaStore, MediaStoreError, Rendition, digits};

/// How much is sent to the storage at once, in bytes. S3 takes no less than 5 MiB but as the last part.
const PART: usize = 8 * 1024 * 1024;
/// How many parts may be on their way to the storage.
const ON_THE_WAY: usize = 1;

/// A file that comes in. Until [`Incoming::finish`] nobody finds it; what is dropped before leaves nothing in a folder,
/// and in S3 at most parts that a life-cycle rule of the bucket removes.
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
            .join("incoming")
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
