//! AES-256-GCM, and the three keys that stand behind a sealed document: the secret's, the owner's, the run's.
use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, LazyLock, PoisonError, RwLock},
};

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD as BASE64};
use ring::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    rand::{SecureRandom, SystemRandom},
};
use sea_orm::DbErr;
use sha2::{Digest, Sha256};

use super::{KEY_ID, ring::Ring};

/// What makes one purpose's key of a secret differ from another's.
const PURPOSE: &[u8] = b"recado payloads, 1\0";
const PRINT: &[u8] = b"recado payloads, fingerprint\0";

/// How documents are kept at rest.
#[derive(Clone)]
pub struct Codec {
    secret: Arc<Secret>,
    /// The keys of the one storage that this is for.
    pub(super) ring: Arc<Ring>,
}

struct Secret {
    key: Key,
    /// Tells one secret from another without telling anything of either.
    print: String,
}

/// The secrets that this process was given. A row names the one that it is under, so that it is opened by that one
/// whichever storage reads it.
static ADMITTED: LazyLock<RwLock<HashMap<String, Codec>>> = LazyLock::new(RwLock::default);

/// Lets this process read what `codec` sealed.
pub(in crate::storage) fn admit(codec: &Codec) {
    let mut admitted = ADMITTED.write().unwrap_or_else(PoisonError::into_inner);
    admitted.insert(codec.secret.print.clone(), codec.clone());
}

impl Codec {
    /// AES-256-GCM under keys of the owners, which are sealed under `secret`: the same text for as long as the data is
    /// to be read.
    pub fn aes(secret: &str) -> Self {
        let key: [u8; 32] = Sha256::new_with_prefix(PURPOSE)
            .chain_update(secret)
            .finalize()
            .into();
        let print = Sha256::new_with_prefix(PRINT).chain_update(key).finalize();
        let secret = Secret {
            key: Key::of(key),
            print: print.iter().take(8).map(|byte| format!("{byte:02x}")).collect(),
        };
        Self {
            secret: Arc::new(secret),
            ring: Arc::default(),
        }
    }

    /// The same secret for a storage of its own.
    pub(in crate::storage) fn for_one(&self) -> Self {
        Self {
            secret: self.secret.clone(),
            ring: Arc::default(),
        }
    }

    /// Seals the key of an owner.
    pub(super) fn seal_owner_key(&self, id: &str, key: &[u8; 32]) -> Result<String, DbErr> {
        Ok(format!(
            "{}:{}",
            self.secret.print,
            self.secret.key.seal(key, id)?
        ))
    }

    /// Whether `sealed`, the key of an owner, was sealed under this codec's secret.
    pub(super) fn sealed(&self, sealed: &str) -> bool {
        sealed
            .split_once(':')
            .is_some_and(|(print, _)| print == self.secret.print)
    }
}

impl fmt::Debug for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Codec(AES-256-GCM)")
    }
}

/// A key of AES-256-GCM. What it seals looks different each time: a nonce stands in front of it.
pub(super) struct Key(Option<LessSafeKey>);

impl Key {
    pub(super) fn of(bytes: [u8; 32]) -> Self {
        Self(UnboundKey::new(&AES_256_GCM, &bytes).ok().map(LessSafeKey::new))
    }

    /// Seals `plain`, for one who knows `with` too.
    pub(super) fn seal(&self, plain: &[u8], with: &str) -> Result<String, DbErr> {
        let key = self.0.as_ref().ok_or_else(unopened)?;
        let mut nonce = [0; NONCE_LEN];
        SystemRandom::new()
            .fill(&mut nonce)
            .map_err(|_| no_randomness())?;
        let mut sealed = Vec::with_capacity(NONCE_LEN + plain.len() + AES_256_GCM.tag_len());
        sealed.extend_from_slice(plain);
        key.seal_in_place_append_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(with.as_bytes()),
            &mut sealed,
        )
        .map_err(|_| DbErr::Custom("a document is too large to be sealed".to_owned()))?;
        sealed.splice(0..0, nonce);
        Ok(BASE64.encode(sealed))
    }

    pub(super) fn open(&self, sealed: &str, with: &str) -> Result<Vec<u8>, DbErr> {
        let key = self.0.as_ref().ok_or_else(unopened)?;
        let mut sealed = BASE64.decode(sealed).map_err(|_| unopened())?;
        if sealed.len() < NONCE_LEN {
            return Err(unopened());
        }
        let plain = sealed.split_off(NONCE_LEN);
        let nonce = Nonce::try_assume_unique_for_key(&sealed).map_err(|_| unopened())?;
        let mut plain = plain;
        let length = key
            .open_in_place(nonce, Aad::from(with.as_bytes()), &mut plain)
            .map_err(|_| unopened())?
            .len();
        plain.truncate(length);
        Ok(plain)
    }
}

/// A fresh key.
pub(super) fn random() -> Result<[u8; 32], DbErr> {
    let mut key = [0; 32];
    SystemRandom::new().fill(&mut key).map_err(|_| no_randomness())?;
    Ok(key)
}

/// The key of an owner, from its row.
pub(super) fn owner_key(id: &str, sealed: &str) -> Result<Key, DbErr> {
    let (print, sealed) = sealed.split_once(':').ok_or_else(unopened)?;
    let admitted = ADMITTED.read().unwrap_or_else(PoisonError::into_inner);
    let codec = admitted.get(print).ok_or_else(|| {
        DbErr::Custom("SECRET_KEY is not the one that this was sealed with, or is missing".to_owned())
    })?;
    Ok(Key::of(bytes(codec.secret.key.open(sealed, id)?)?))
}

/// The text of `runs.payload_key`: a run's key, sealed under the key `id` of its owner.
pub(super) fn seal_run_key(key: &[u8; 32], (id, owner_key): (&str, &Key)) -> Result<String, DbErr> {
    Ok(format!("{id}:{}", owner_key.seal(key, id)?))
}

/// The key of a run, from the text of `runs.payload_key` and the sealed key of its owner.
pub(super) fn run_key(sealed: &str, owner: &str) -> Result<Key, DbErr> {
    run_key_bytes(sealed, owner).map(Key::of)
}

pub(super) fn run_key_bytes(sealed: &str, owner: &str) -> Result<[u8; 32], DbErr> {
    let (id, sealed) = sealed.split_once(':').ok_or_else(unopened)?;
    debug_assert_eq!(id.len(), KEY_ID);
    bytes(owner_key(id, owner)?.open(sealed, id)?)
}

fn bytes(key: Vec<u8>) -> Result<[u8; 32], DbErr> {
    key.try_into().map_err(|_| unopened())
}

fn unopened() -> DbErr {
    DbErr::Custom("a sealed document does not open: it was changed, or is another's".to_owned())
}

fn no_randomness() -> DbErr {
    DbErr::Custom("the system gives no random numbers".to_owned())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_key_and_the_same_words_open_and_nothing_may_change() {
        let (ours, other) = (Key::of(random().unwrap()), Key::of(random().unwrap()));
        let sealed = ours.seal(b"a message", "here").unwrap();
        assert_eq!(ours.open(&sealed, "here").unwrap(), b"a message");
        assert_ne!(
            ours.seal(b"a message", "here").unwrap(),
            sealed,
            "a nonce of its own each time"
        );
        assert!(ours.open(&sealed, "there").is_err());
        assert!(other.open(&sealed, "here").is_err());
        let mut raw = BASE64.decode(&sealed).unwrap();
        *raw.last_mut().unwrap() ^= 1;
        assert!(ours.open(&BASE64.encode(raw), "here").is_err());
        assert!(ours.open("AAAA", "here").is_err());
    }

    #[test]
    fn a_secret_that_this_process_was_not_given_is_named() {
        let unheard = Codec::aes("a secret that nobody admits");
        let sealed = unheard.seal_owner_key("id", &random().unwrap()).unwrap();
        assert!(unheard.sealed(&sealed));
        assert!(!Codec::aes("another").sealed(&sealed));
        let error = owner_key("id", &sealed).err().unwrap();
        assert!(error.to_string().contains("SECRET_KEY"));
    }
}
