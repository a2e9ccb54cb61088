//! Where attachments are kept: a folder, or storage that speaks S3. Each under its owner and the hash of its content.

use std::fmt;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use futures::{Stream, TryStreamExt};
use object_store::aws::AmazonS3Builder;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{GetOptions, ObjectStore, ObjectStoreExt};
use sha2::{Digest, Sha256};
use url::Url;

use super::incoming;

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
    pub(super) store: Arc<dyn ObjectStore>,
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

    /// Makes sure that there is a place for files, so that a folder that cannot be written to is seen at the start. What
    /// was left there half written long ago goes.
    ///
    /// # Errors
    /// [`MediaStoreError::Setup`].
    pub fn prepare(&self) -> Result<(), MediaStoreError> {
        let Some(folder) = &self.folder else { return Ok(()) };
        let made = std::fs::create_dir_all(folder);
        made.and_then(|()| incoming::sweep(folder))
            .map_err(|error| MediaStoreError::Setup(format!("the folder {}: {error}", folder.display())))
    }

    /// Keeps `content` of `owner`. Returns its SHA-256 in hexadecimal digits. Writing the same again changes nothing but
    /// the time at which it was written.
    ///
    /// # Errors
    /// [`MediaStoreError::Away`].
    pub async fn put(&self, owner: &str, content: Vec<u8>) -> Result<String, MediaStoreError> {
        let hash = digits(&Sha256::digest(&content));
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

    /// The content of an attachment that fits into memory.
    ///
    /// # Errors
    /// [`MediaStoreError::Gone`], [`MediaStoreError::Away`].
    pub async fn get(
        &self,
        owner: &str,
        hash: &str,
        rendition: Rendition,
    ) -> Result<Vec<u8>, MediaStoreError> {
        let found = self.store.get(&self.place(owner, hash, rendition)).await?;
        Ok(found.bytes().await?.into())
    }

    /// The content of an attachment piece by piece, or the bytes of it that `range` names.
    ///
    /// # Errors
    /// [`MediaStoreError::Gone`], [`MediaStoreError::Away`].
    pub async fn stream(
        &self,
        owner: &str,
        hash: &str,
        range: Option<Range<u64>>,
    ) -> Result<impl Stream<Item = std::io::Result<Vec<u8>>> + Send + 'static, MediaStoreError> {
        let options = GetOptions {
            range: range.map(Into::into),
            ..GetOptions::default()
        };
        let place = self.place(owner, hash, Rendition::Original);
        let found = self.store.get_opts(&place, options).await?;
        let pieces = found.into_stream();
        Ok(pieces.map_ok(Vec::from).map_err(std::io::Error::other))
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
        let folder = self.folder(owner);
        let all: Vec<_> = self.store.list(Some(&folder)).try_collect().await?;
        for found in &all {
            match self.store.delete(&found.location).await {
                Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        if self.folder.is_some() {
            // What is half written is not in the list.
            let half = std::path::Path::new("/").join(folder.join(incoming::FOLDER).as_ref());
            match std::fs::remove_dir_all(half) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(MediaStoreError::Away(error.to_string()));
                }
                _ => {}
            }
        }
        Ok(all.len() as u64)
    }

    /// `owner/original/ab/abcd…`: joined part by part, so that no owner's id leads into another's folder.
    pub(super) fn place(&self, owner: &str, hash: &str, rendition: Rendition) -> Path {
        let folder = match rendition {
            Rendition::Original => "original",
            Rendition::Thumbnail => "thumbnail",
        };
        let first = hash.get(..2).unwrap_or(hash);
        self.folder(owner).join(folder).join(first).join(hash)
    }

    pub(super) fn folder(&self, owner: &str) -> Path {
        self.root.clone().join(owner)
    }
}

/// In hexadecimal digits.
pub(super) fn digits(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
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
        let read = async |owner| store.get(owner, &hash, Rendition::Original).await;
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
    async fn a_file_that_comes_in_pieces_is_kept_as_any_other_and_a_part_of_it_is_read_by_itself() {
        let (path, store) = folder("pieces");
        let hash = store.put("ana", b"0123456789".to_vec()).await.expect("kept");
        store.remove("ana", &hash).await.expect("removed");
        // Whoever gives up leaves nothing; whoever does it again takes the place.
        for is_wanted in [false, true] {
            let mut incoming = store.begin("ana", "https://a.example/1").await.expect("begun");
            incoming.write(b"01234").await.expect("written");
            incoming.write(b"56789").await.expect("written");
            match is_wanted {
                true => assert_eq!(incoming.finish().await.expect("kept"), (hash.clone(), 10)),
                false => incoming.abandon().await,
            }
            let there = store.look("ana", &hash, Rendition::Original).await;
            assert_eq!(there.is_ok(), is_wanted, "{there:?}");
        }
        let part = store.stream("ana", &hash, Some(2..5)).await.expect("a part");
        let part: Vec<u8> = part.try_concat().await.expect("read");
        assert_eq!(part, b"234");
        let there = store
            .look("ana", &hash, Rendition::Original)
            .await
            .expect("there");
        assert_eq!(there.size, 10);
        std::fs::remove_dir_all(path).expect("cleared");
    }

    #[tokio::test]
    async fn what_a_process_that_died_left_half_written_goes_a_day_later_and_with_its_owner() {
        let (path, store) = folder("half");
        let half = path.join("ana").join("incoming");
        std::fs::create_dir_all(&half).expect("made");
        let old = std::time::SystemTime::now() - std::time::Duration::from_secs(2 * 24 * 3600);
        for (name, written) in [("old#1", Some(old)), ("new#1", None)] {
            let file = std::fs::File::create(half.join(name)).expect("made");
            if let Some(at) = written {
                file.set_modified(at).expect("dated");
            }
        }
        store.prepare().expect("prepared");
        assert!(!half.join("old#1").exists() && half.join("new#1").exists());
        store.erase("ana").await.expect("erased");
        assert!(!half.exists());
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
