//! The box that keeps tenants' credentials closed at rest.
use std::fmt;

use aes_gcm::{
    Aes256Gcm, Key, KeyInit, Nonce,
    aead::{Aead, AeadCore, OsRng},
};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

use crate::StoreError;

/// AES-256-GCM has nonces of 12 bytes; ours stands in front of what it sealed.
const NONCE: usize = 12;

/// Seals and opens with AES-256-GCM, under a key that is the SHA-256 of `SECRET_KEY`.
#[derive(Clone)]
pub struct Secret(Aes256Gcm);

impl Secret {
    /// The box of a key: any text of 32 characters or more.
    ///
    /// # Errors
    /// [`StoreError::WeakSecret`] when it is shorter.
    pub fn new(text: &SecretString) -> Result<Self, StoreError> {
        let text = text.expose_secret();
        let length = text.chars().count();
        if length < 32 {
            return Err(StoreError::WeakSecret(length));
        }
        let key: [u8; 32] = Sha256::digest(text.as_bytes()).into();
        Ok(Self(Aes256Gcm::new(Key::<Aes256Gcm>::from_slice(&key))))
    }

    /// Seals: the same bytes look different each time.
    ///
    /// # Errors
    /// [`StoreError::Sealed`] when they are longer than the cipher allows, 64 GiB.
    pub fn seal(&self, plain: &[u8]) -> Result<Vec<u8>, StoreError> {
        let nonce = Aes256Gcm::generate_nonce(&mut OsRng);
        let sealed = self.0.encrypt(&nonce, plain).map_err(|_| StoreError::Sealed)?;
        Ok([nonce.as_slice(), &sealed].concat())
    }

    /// Opens what [`Secret::seal`] sealed.
    ///
    /// # Errors
    /// [`StoreError::Sealed`] when another key sealed it, or a bit of it changed.
    pub fn open(&self, sealed: &[u8]) -> Result<Vec<u8>, StoreError> {
        let (nonce, sealed) = sealed.split_at_checked(NONCE).ok_or(StoreError::Sealed)?;
        self.0
            .decrypt(Nonce::from_slice(nonce), sealed)
            .map_err(|_| StoreError::Sealed)
    }

    pub(crate) fn open_text(&self, sealed: &[u8]) -> Result<SecretString, StoreError> {
        let plain = String::from_utf8(self.open(sealed)?).map_err(|_| StoreError::Sealed)?;
        Ok(SecretString::from(plain))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> Secret {
        Secret::new(&SecretString::from(text)).unwrap()
    }

    #[test]
    fn only_the_same_key_opens_and_nothing_may_change() {
        let ours = secret("a key of thirty-two characters!!");
        let mut sealed = ours.seal(b"token").unwrap();
        assert_eq!(ours.open(&sealed).unwrap(), b"token");
        assert_ne!(
            ours.seal(b"token").unwrap(),
            sealed,
            "a nonce of its own each time"
        );
        let other = secret("another key of 32 characters!!!!");
        assert!(matches!(other.open(&sealed), Err(StoreError::Sealed)));
        let last = sealed.len() - 1;
        sealed[last] ^= 1;
        assert!(matches!(ours.open(&sealed), Err(StoreError::Sealed)));
        assert!(matches!(ours.open(b"short"), Err(StoreError::Sealed)));
    }

    #[test]
    fn a_short_key_is_refused_and_named() {
        let error = Secret::new(&SecretString::from("short")).unwrap_err();
        assert_eq!(
            error.to_string(),
            "SECRET_KEY has 5 characters, at least 32 are needed"
        );
    }
}
