//! Where attachments are kept: a folder, or storage that speaks S3. Each under its owner and the hash of its content.

use std::fmt;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use futures::TryStreamExt;
use object_store::aws::AmazonS3Builder;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use sha2::{Digest, Sha256};
use url::Url;

/// Why something could not be kept, read or removed.
#[derive(Debug, thiserror::Error)]
pub enum MediaStoreError {
    /// The setting names nothing that can be used.
    #[error("{0}")]
    Setup(String),
    /// There is nothing under that hash.
    #[error("the file is not there any more")]
    Gone,
    /// The storage does not answer, or refuses.
    #[error("the storage of attachments does not do it: {0}")]
    Away(String),
}

impl From<object_store::Error> for MediaStoreError {
    fn from(error: object_store::Error) -> Self {
        match error {
            object_store::Error::NotFound { .. } => Self::Gone,
            other => Self::Away(other.to_string()),
        }
    }
}

/// The form in which an attachment is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rendition {
    /// As it came.
    Original,
    /// A small picture of it.
    Thumbnail,
}

/// What is there of an attachment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stored {
    /// In bytes.
    pub size: u64,
    /// When it was written last.
    pub written_at: DateTime<Utc>,
}

/// Keeps attachments by owner and SHA-256. Cheap to clone.
///
/// Invariant: what one owner sent is never read, replaced or removed in the name of another, even where both sent the
/// same.
#[derive(Clone)]
pub struct MediaStore {
    store: Arc<dyn ObjectStore>,
    root: Path,
    /// Where it is a folder.
    folder: Option<PathBuf>,
}

impl MediaStore {
    /// The storage behind `url`: `file:///a/folder`, or `s3://bucket/prefix` with the credentials of the usual `AWS_*`
    /// variables. Whatever is written to a folder is on the disk before it counts as written.
    ///
    /// # Errors
    /// [`MediaStoreError::Setup`] when it is neither.
    pub fn open(url: &Url) -> Result<Self, MediaStoreError> {
        let setup = |error: &dyn fmt::Display| MediaStoreError::Setup(error.to_string());
        match url.scheme() {
            "file" => {
                let folder = url
                    .to_file_path()
                    .map_err(|()| setup(&"names no folder of this machine"))?;
                Ok(Self {
                    store: Arc::new(LocalFileSystem::new().with_fsync(true)),
                    root: Path::from_absolute_path(&folder).map_err(|error| setup(&error))?,
                    folder: Some(folder),
                })
            }
            "s3" => {
                let bucket = url.host_str().ok_or_else(|| setup(&"names no bucket"))?;
                // Its client needs a TLS provider of the process.
                crate::http(std::time::Duration::from_secs(60)).map_err(|error| setup(&error))?;
                let store = AmazonS3Builder::from_env()
                    .with_bucket_name(bucket)
                    .build()
                    .map_err(|error| setup(&error))?;
                Ok(Self {
                    store: Arc::new(store),
                    root: Path::from_url_path(url.path()).map_err(|error| setup(&error))?,
                    folder: None,
                })
            }
            other => Err(MediaStoreError::Setup(format!(
                "`{other}://` is neither file:// nor s3://"
            ))),
        }
    }

    /// Makes sure that there is a place for files, so that a folder that cannot be written to is seen at the start.
    ///
    /// # Errors
    /// [`MediaStoreError::Setup`].
    pub fn prepare(&self) -> Result<(), MediaStoreError> {
        let Some(folder) = &self.folder else { return Ok(()) };
        let made = std::fs::create_dir_all(folder);
        made.map_err(|error| MediaStoreError::Setup(format!("the folder {}: {error}", folder.display())))
    }

    /// Keeps `content` of `owner`. Returns its SHA-256 in hexadecimal digits. Writing the same again changes nothing but
    /// the time at which it was written.
    ///
    /// # Errors
    /// [`MediaStoreError::Away`].
    pub async fn put(&self, owner: &str, content: Vec<u8>) -> Result<String, MediaStoreError> {
        let hash = hash(&content);
        let place = self.place(owner, &hash, Rendition::Original);
        self.store.put(&place, content.into()).await?;
        Ok(hash)
    }

    /// Keeps the small picture of what has this hash.
    ///
    /// # Errors
    /// [`MediaStoreError::Away`].
    pub async fn put_thumbnail(
        &self,
        owner: &str,
        hash: &str,
        content: Vec<u8>,
    ) -> Result<(), MediaStoreError> {
        let place = self.place(owner, hash, Rendition::Thumbnail);
        self.store.put(&place, content.into()).await?;
        Ok(())
    }

    /// What there is of an attachment.
    ///
    /// # Errors
    /// [`MediaStoreError::Gone`], [`MediaStoreError::Away`].
    pub async fn look(
        &self,
        owner: &str,
        hash: &str,
        rendition: Rendition,
    ) -> Result<Stored, MediaStoreError> {
        let found = self.store.head(&self.place(owner, hash, rendition)).await?;
        Ok(Stored {
            size: found.size,
            written_at: found.last_modified,
        })
    }

    /// The content of an attachment, or the bytes of it that `range` names.
    ///
    /// # Errors
    /// [`MediaStoreError::Gone`], [`MediaStoreError::Away`].
    pub async fn get(
        &self,
        owner: &str,
        hash: &str,
        rendition: Rendition,
        range: Option<Range<u64>>,
    ) -> Result<Vec<u8>, MediaStoreError> {
        let place = self.place(owner, hash, rendition);
        let bytes = match range {
            Some(range) => self.store.get_range(&place, range).await?,
            None => self.store.get(&place).await?.bytes().await?,
        };
        Ok(bytes.to_vec())
    }

    /// Removes an attachment and its small picture; what is not there is no error.
    ///
    /// # Errors
    /// [`MediaStoreError::Away`].
    pub async fn remove(&self, owner: &str, hash: &str) -> Result<(), MediaStoreError> {
        for rendition in [Rendition::Thumbnail, Rendition::Original] {
            match self.store.delete(&self.place(owner, hash, rendition)).await {
                Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Removes everything of `owner`. Returns how many files that were.
    ///
    /// # Errors
    /// [`MediaStoreError::Away`]; what was removed before stays so.
    pub async fn erase(&self, owner: &str) -> Result<u64, MediaStoreError> {
        let folder = self.root.clone().join(owner);
        let all: Vec<_> = self.store.list(Some(&folder)).try_collect().await?;
        for found in &all {
            match self.store.delete(&found.location).await {
                Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(all.len() as u64)
    }

    /// `owner/original/ab/abcd…`: joined part by part, so that no owner's id leads into another's folder.
    fn place(&self, owner: &str, hash: &str, rendition: Rendition) -> Path {
        let folder = match rendition {
            Rendition::Original => "original",
            Rendition::Thumbnail => "thumbnail",
        };
        let first = hash.get(..2).unwrap_or(hash);
        self.root.clone().join(owner).join(folder).join(first).join(hash)
    }
}

fn hash(content: &[u8]) -> String {
    let digest = Sha256::digest(content);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl fmt::Debug for MediaStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MediaStore").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(name: &str) -> (std::path::PathBuf, MediaStore) {
        let path = std::env::temp_dir().join(format!("recado-media-{name}-{}", std::process::id()));
        let url = Url::from_directory_path(&path).expect("an absolute path");
        let store = MediaStore::open(&url).expect("a folder");
        store.prepare().expect("made");
        (path, store)
    }

    #[tokio::test]
    async fn what_two_owners_sent_alike_is_each_ones_own() {
        let (path, store) = folder("owners");
        let hash = store.put("ana", b"picture".to_vec()).await.expect("kept");
        assert_eq!(store.put("bia", b"picture".to_vec()).await.expect("kept"), hash);
        store
            .put_thumbnail("ana", &hash, b"small".to_vec())
            .await
            .expect("kept");
        assert_eq!(store.erase("ana").await.expect("erased"), 2);
        let read = async |owner| store.get(owner, &hash, Rendition::Original, None).await;
        assert!(matches!(read("ana").await, Err(MediaStoreError::Gone)));
        assert_eq!(read("bia").await.expect("kept"), b"picture");
        // An id that looks like a way out is a name like any other.
        store.put("../bia", b"other".to_vec()).await.expect("kept");
        assert_eq!(store.erase("..").await.expect("erased"), 0);
        assert_eq!(read("bia").await.expect("kept"), b"picture");
        store.remove("bia", &hash).await.expect("removed");
        store.remove("bia", &hash).await.expect("removed twice");
        assert!(matches!(read("bia").await, Err(MediaStoreError::Gone)));
        std::fs::remove_dir_all(path).expect("cleared");
    }

    #[tokio::test]
    async fn a_part_of_a_file_is_read_by_itself() {
        let (path, store) = folder("range");
        let hash = store.put("ana", b"0123456789".to_vec()).await.expect("kept");
        let part = store.get("ana", &hash, Rendition::Original, Some(2..5)).await;
        assert_eq!(part.expect("a part"), b"234");
        let there = store
            .look("ana", &hash, Rendition::Original)
            .await
            .expect("there");
        assert_eq!(there.size, 10);
        std::fs::remove_dir_all(path).expect("cleared");
    }

    #[test]
    fn a_place_that_is_none_is_named() {
        for (url, told) in [
            ("https://example.com/x", "https://"),
            ("file://elsewhere/x", "no folder"),
        ] {
            let error = MediaStore::open(&Url::parse(url).expect("a URL")).expect_err("refused");
            assert!(error.to_string().contains(told), "{error}");
        }
    }
}
